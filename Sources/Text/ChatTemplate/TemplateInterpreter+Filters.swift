internal import DuetSystem

/// Filters and tests.
extension TemplateInterpreter {
  mutating func filter(
    _ value: TemplateValue, by name: String, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let line = call.line
    switch name {
    case "trim":
      let text = try text(of: value, line: line)
      try budget.take(text: text.cost, line: line)
      return .text(try strip(text, call))
    case "string":
      try call.check(most: 0)
      return .text(try text(of: value, line: line))
    case "replace":
      let text = try text(of: value, line: line)
      try budget.take(text: text.cost, line: line)
      return .text(try replace(text, call))
    case "length", "count":
      try call.check(most: 0)
      return .int(try length(of: value, line: line))
    case "list":
      try call.check(most: 0)
      return .list(try list(try elements(of: value, line: line), line: line))
    case "first", "last":
      try call.check(most: 0)
      let elements = try elements(of: value, line: line)
      return (name == "first" ? elements.first : elements.last)
        ?? .undefined(name: "the \(name) element")
    case "join":
      return .text(try join(value, call))
    case "items":
      try call.check(most: 0)
      switch value {
      case .map(let map): return .list(try items(of: map, line: line))
      case .undefined: return .list(TemplateList([]))
      default: throw .evaluation(line: line, problem: "\(value.kindName) has no items")
      }
    case "default", "d":
      try call.check(most: 2, names: ["boolean"])
      let flag = call.positional.count > 1 ? call.positional[1] : call.named("boolean")
      let isReplaced: Bool
      if case .undefined = value {
        isReplaced = true
      } else {
        isReplaced = (flag?.isTrue ?? false) && !value.isTrue
      }
      return isReplaced ? call.positional.first ?? .text(TemplateText()) : value
    case "tojson":
      return .text(try json(of: value, call))
    case "select": return .list(try select(value, call, byAttribute: false, keeps: true))
    case "reject": return .list(try select(value, call, byAttribute: false, keeps: false))
    case "selectattr": return .list(try select(value, call, byAttribute: true, keeps: true))
    case "rejectattr": return .list(try select(value, call, byAttribute: true, keeps: false))
    default:
      throw .unsupported(line: line, construct: call.callee)
    }
  }

  private mutating func length(
    of value: TemplateValue, line: Int
  ) throws(ChatTemplateError) -> Int {
    switch value {
    case .undefined: return 0
    case .list(let list): return list.elements.count
    case .map(let map): return map.entries.count
    case .text(let text):
      try budget.take(text: text.cost, line: line)
      return text.scalarCount
    default: throw .evaluation(line: line, problem: "\(value.kindName) has no length")
    }
  }

  private mutating func join(
    _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateText {
    try call.check(most: 1)
    let separator =
      call.positional.isEmpty ? TemplateText() : try text(of: call.positional[0], line: call.line)
    var pieces: [TemplateText] = []
    for element in try elements(of: value, line: call.line) {
      let piece = try text(of: element, line: call.line)
      try budget.take(steps: 1, line: call.line)
      try budget.take(text: piece.cost, line: call.line)
      if !pieces.isEmpty { try budget.take(text: separator.cost, line: call.line) }
      pieces.append(piece)
    }
    return separator.joining(pieces)
  }

  /// The elements that pass a test (when `keeps`) or fail it.
  ///
  /// With `byAttribute` the test is of an attribute of each element. Without a test, the value must
  /// be true.
  private mutating func select(
    _ value: TemplateValue, _ call: TemplateCall, byAttribute: Bool, keeps: Bool
  ) throws(ChatTemplateError) -> TemplateList {
    let line = call.line
    try call.check(least: byAttribute ? 1 : 0, most: byAttribute ? 3 : 2)
    var arguments = call.positional[...]
    var name: TemplateText?
    if byAttribute {
      name = try call.text(0)
      arguments = arguments.dropFirst()
      if let name, name.bytes.contains(UInt8(ascii: ".")) {
        throw .unsupported(line: line, construct: "\(call.callee) with a path of attributes")
      }
    }
    var testName: String?
    if let first = arguments.first {
      guard case .text(let text) = first else {
        throw .evaluation(line: line, problem: "\(call.callee) is given no name of a test")
      }
      testName = text.excerpt
    }
    var testCall = TemplateCall(callee: "the test '\(testName ?? "")'", line: line)
    testCall.positional = Array(arguments.dropFirst())
    var kept: [TemplateValue] = []
    for element in try elements(of: value, line: line) {
      try budget.take(steps: 1, line: line)
      let subject =
        try name.map { (name) throws(ChatTemplateError) in
          try attribute(name, of: element, line: line)
        } ?? element
      let passes =
        if let testName { try test(subject, testName, testCall) } else { subject.isTrue }
      if passes == keeps { kept.append(element) }
    }
    return try list(kept, line: line)
  }

  // MARK: - Tests

  mutating func test(
    _ value: TemplateValue, _ name: String, _ call: TemplateCall
  ) throws(ChatTemplateError) -> Bool {
    switch name {
    case "equalto", "eq", "==":
      try call.check(least: 1, most: 1)
      return try areEqual(value, call.positional[0], line: call.line)
    case "ne", "!=":
      try call.check(least: 1, most: 1)
      return try !areEqual(value, call.positional[0], line: call.line)
    case "in":
      try call.check(least: 1, most: 1)
      return try contains(call.positional[0], value, line: call.line)
    default:
      try call.check(most: 0)
      guard let holds = test(value, name) else {
        throw .unsupported(line: call.line, construct: call.callee)
      }
      return holds
    }
  }

  /// The result of a test without arguments, or nil when no test has the name.
  private func test(_ value: TemplateValue, _ name: String) -> Bool? {
    switch (name, value) {
    case ("undefined", .undefined): true
    case ("undefined", _): false
    case ("defined", .undefined): false
    case ("defined", _): true
    case ("none", .none): true
    case ("none", _): false
    case ("string", .text): true
    case ("string", _): false
    case ("mapping", .map): true
    case ("mapping", _): false
    case ("boolean", .bool): true
    case ("boolean", _): false
    case ("integer", .int): true
    case ("integer", _): false
    case ("number", .int), ("number", .bool): true
    case ("number", _): false
    case ("true", .bool(let flag)): flag
    case ("true", _): false
    case ("false", .bool(let flag)): !flag
    case ("false", _): false
    case ("iterable", .text), ("iterable", .list), ("iterable", .map), ("iterable", .undefined),
      ("iterable", .loop):
      true
    case ("iterable", _): false
    case ("sequence", .text), ("sequence", .list), ("sequence", .map), ("sequence", .undefined):
      true
    case ("sequence", _): false
    default: nil
    }
  }
}
