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

  /// Refuses a wrong number of arguments, and names other than the given ones (nil allows all).
  func check(
    least: Int = 0, most: Int, names: [String]? = []
  ) throws(ChatTemplateError) {
    guard (least...most).contains(positional.count) else {
      throw .unsupported(line: line, construct: "\(callee) with \(positional.count) arguments")
    }
    for (name, _) in named {
      if let names, !names.contains(name) {
        throw .unsupported(line: line, construct: "\(callee) with the argument '\(name)'")
      }
    }
  }

  func named(_ name: String) -> TemplateValue? { named.last { $0.name == name }?.value }

  /// An argument that must be a string; its presence was checked before.
  func text(_ index: Int) throws(ChatTemplateError) -> TemplateText {
    guard case .text(let text) = positional[index] else {
      throw .evaluation(
        line: line, problem: "\(callee) is given \(positional[index].kindName) instead of a string")
    }
    return text
  }

  /// An argument that must be an integer; its presence was checked before.
  func int(_ index: Int) throws(ChatTemplateError) -> Int {
    guard case .int(let number) = positional[index] else {
      throw .evaluation(
        line: line,
        problem: "\(callee) is given \(positional[index].kindName) instead of an integer")
    }
    return number
  }
}
