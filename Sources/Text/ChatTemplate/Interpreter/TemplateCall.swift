/// The evaluated arguments of a call, a filter or a test.
struct TemplateCall {
  /// The name of what is called, for messages.
  let callee: String
  let line: Int
  var positional: [TemplateValue] = []
  var named: [(name: String, value: TemplateValue)] = []

  init(callee: String, line: Int) {
    self.callee = callee
    self.line = line
  }

  /// The arguments by the names of the parameters, nil where none is given.
  ///
  /// - Parameters:
  ///   - names: The parameters.
  ///   - required: The number of the first ones that must be given.
  /// - Returns: The arguments in the order of `names`.
  /// - Throws: `ChatTemplateError.evaluation` for too few or too many arguments and unknown names.
  func bound(
    _ names: [String] = [], required: Int = 0
  ) throws(ChatTemplateError) -> TemplateBoundArguments {
    guard positional.count <= names.count else {
      throw .evaluation(
        line: line,
        problem: "\(callee) is given \(positional.count) arguments, "
          + "and takes no more than \(names.count)")
    }
    var values: [TemplateValue?] = positional
    values += Array(repeating: nil, count: names.count - values.count)
    for (name, value) in named {
      guard let index = names.firstIndex(of: name) else {
        throw .evaluation(line: line, problem: "\(callee) takes no argument '\(name)'")
      }
      guard values[index] == nil else {
        throw .evaluation(line: line, problem: "\(callee) is given '\(name)' twice")
      }
      values[index] = value
    }
    if let missing = values.prefix(required).firstIndex(where: { $0 == nil }) {
      throw .evaluation(line: line, problem: "\(callee) needs the argument '\(names[missing])'")
    }
    return TemplateBoundArguments(callee: callee, line: line, values: values)
  }
}

/// Arguments by the numbers of their parameters.
struct TemplateBoundArguments {
  let callee: String
  let line: Int
  let values: [TemplateValue?]

  subscript(index: Int) -> TemplateValue? { values[index] }

  /// Whether an argument is given and not none.
  func isGiven(_ index: Int) -> Bool {
    switch values[index] {
    case nil, .some(.none): false
    default: true
    }
  }

  /// An argument that must be a string; its presence was checked before.
  func text(_ index: Int) throws(ChatTemplateError) -> TemplateText {
    guard case .text(let text) = values[index] else { throw wrong(index, "a string") }
    return text
  }

  /// An argument that must be an integer, or `initial` when it is not given.
  func int(_ index: Int, or initial: Int = 0) throws(ChatTemplateError) -> Int {
    switch values[index] {
    case nil: return initial
    case .int(let number): return number
    case .bool(let flag): return flag ? 1 : 0
    default: throw wrong(index, "an integer")
    }
  }

  /// The truth value of an argument, or `initial` when it is not given.
  func flag(_ index: Int, or initial: Bool = false) -> Bool { values[index]?.isTrue ?? initial }

  private func wrong(_ index: Int, _ wanted: String) -> ChatTemplateError {
    let kind = values[index]?.kindName ?? "nothing"
    return .evaluation(line: line, problem: "\(callee) is given \(kind) instead of \(wanted)")
  }
}
