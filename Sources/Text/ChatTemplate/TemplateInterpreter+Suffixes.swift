internal import DuetSystem

/// The suffixes of values: parts, calls, filters and tests.
extension TemplateInterpreter {
  mutating func apply(
    _ suffix: TemplateSuffix, to value: TemplateValue
  ) throws(ChatTemplateError) -> TemplateValue {
    let line = suffix.line
    switch suffix.kind {
    case .attribute(let name):
      return try attribute(TemplateText(name), of: value, line: line)
    case .element(let key):
      return try element(try evaluate(key), of: value, line: line)
    case .slice(let first, let last):
      let first = try bound(first)
      let last = try bound(last)
      return try slice(value, from: first, to: last, line: line)
    case .call(let arguments):
      guard case .function(let function) = value else {
        if case .undefined(let name) = value {
          throw .unsupported(line: line, construct: "the function '\(name)'")
        }
        throw .evaluation(line: line, problem: "\(value.kindName) is called")
      }
      return try call(
        function, try evaluate(arguments, of: "the function '\(function.rawValue)'", line: line))
    case .method(let name, let arguments):
      return try callMethod(
        name, of: value, try evaluate(arguments, of: "the method '\(name)'", line: line))
    case .filter(let name, let arguments):
      return try filter(
        value, by: name, try evaluate(arguments, of: "the filter '\(name)'", line: line))
    case .test(let name, let arguments, let isNegated):
      let call = try evaluate(arguments, of: "the test '\(name)'", line: line)
      return .bool(try test(value, name, call) != isNegated)
    }
  }

  private mutating func evaluate(
    _ arguments: TemplateArguments, of callee: String, line: Int
  ) throws(ChatTemplateError) -> TemplateCall {
    var call = TemplateCall(callee: callee, line: line)
    for argument in arguments.positional { call.positional.append(try evaluate(argument)) }
    for (name, argument) in arguments.named { call.named.append((name, try evaluate(argument))) }
    return call
  }

  // MARK: - Parts

  /// `value.name` or `value['name']`; undefined when there is no such part.
  func attribute(
    _ name: TemplateText, of value: TemplateValue, line: Int
  ) throws(ChatTemplateError) -> TemplateValue {
    let missing = TemplateValue.undefined(name: name.excerpt)
    switch value {
    case .map(let map):
      return map[name] ?? missing
    case .namespace(let number):
      return namespaces[number][name.string] ?? missing
    case .loop(let index, let count):
      switch name.string {
      case "index": return .int(index + 1)
      case "index0": return .int(index)
      case "revindex": return .int(count - index)
      case "revindex0": return .int(count - index - 1)
      case "first": return .bool(index == 0)
      case "last": return .bool(index == count - 1)
      case "length": return .int(count)
      default: throw .unsupported(line: line, construct: "loop.\(name.excerpt)")
      }
    case .undefined(let base):
      throw .evaluation(
        line: line, problem: "'\(base)' is undefined and has no part '\(name.excerpt)'")
    default:
      return missing
    }
  }

  private mutating func element(
    _ key: TemplateValue, of value: TemplateValue, line: Int
  ) throws(ChatTemplateError) -> TemplateValue {
    switch (value, key) {
    case (_, .text(let name)):
      try budget.take(text: name.cost, line: line)
      return try attribute(name, of: value, line: line)
    case (.list(let list), .int(let index)):
      let position = index < 0 ? index + list.elements.count : index
      return list.elements.indices.contains(position)
        ? list.elements[position] : .undefined(name: "element \(index)")
    case (.text(let text), .int(let index)):
      try budget.take(text: text.cost, weight: 2, line: line)
      let count = text.scalarCount
      let position = index < 0 ? index + count : index
      return (0..<count).contains(position)
        ? .text(text.scalarSlice(position..<position + 1))
        : .undefined(name: "character \(index)")
    case (.undefined(let base), _):
      throw .evaluation(line: line, problem: "'\(base)' is undefined and has no parts")
    default:
      return .undefined(name: "part of \(value.kindName)")
    }
  }

  private mutating func bound(
    _ expression: TemplateExpression?
  ) throws(ChatTemplateError) -> Int? {
    guard let expression else { return nil }
    switch try evaluate(expression) {
    case .none: return nil
    case .int(let number): return number
    case let value:
      throw .evaluation(
        line: expression.line, problem: "\(value.kindName) is used as the end of a slice")
    }
  }

  private mutating func slice(
    _ value: TemplateValue, from first: Int?, to last: Int?, line: Int
  ) throws(ChatTemplateError) -> TemplateValue {
    /// Python's bounds: negative ones count from the end, and all are clamped to the sequence.
    func range(count: Int) -> Range<Int> {
      func clamp(_ bound: Int) -> Int { max(0, min(bound < 0 ? bound + count : bound, count)) }
      let start = first.map(clamp) ?? 0
      return start..<max(start, last.map(clamp) ?? count)
    }
    switch value {
    case .list(let list):
      return .list(
        try self.list(Array(list.elements[range(count: list.elements.count)]), line: line))
    case .text(let text):
      try budget.take(text: text.cost, weight: 2, line: line)
      return .text(text.scalarSlice(range(count: text.scalarCount)))
    default:
      throw .evaluation(line: line, problem: "a slice of \(value.kindName) is wanted")
    }
  }
}
