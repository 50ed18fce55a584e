internal import DuetSystem

/// The tests of Jinja2, which follow `is`.
enum TemplateTests {
  /// A test of a value with arguments.
  typealias Test =
    @Sendable (inout TemplateInterpreter, TemplateValue, TemplateCall)
    throws(ChatTemplateError) -> Bool

  /// All tests by name.
  static let table: [String: Test] = kinds.merging(comparisons) { first, _ in first }

  /// The tests without arguments.
  private static let kinds: [String: Test] = [
    "boolean": kind { if case .bool = $0 { true } else { false } },
    "callable": kind(isCallable),
    "defined": kind { !$0.isUndefined },
    "even": { (run, value, call) throws(ChatTemplateError) in
      try remainder(&run, value, 2, call) == 0
    },
    "escaped": kind { if case .text(let text) = $0 { text.isMarkup } else { false } },
    "false": kind { if case .bool(false) = $0 { true } else { false } },
    "filter": { (_, value, call) throws(ChatTemplateError) in
      try TemplateFilters.table[name(value, call)] != nil
    },
    "float": kind { if case .double = $0 { true } else { false } },
    "integer": kind { if case .int = $0 { true } else { false } },
    "iterable": kind(isIterable),
    "lower": hasCase { $0.properties.isLowercase },
    "mapping": kind { if case .map = $0 { true } else { false } },
    "none": kind { if case .none = $0 { true } else { false } },
    "number": kind(isNumber),
    "odd": { (run, value, call) throws(ChatTemplateError) in
      try remainder(&run, value, 2, call) == 1
    },
    "sequence": kind(isSequence),
    "string": kind { if case .text = $0 { true } else { false } },
    "test": { (_, value, call) throws(ChatTemplateError) in table[try name(value, call)] != nil },
    "true": kind { if case .bool(true) = $0 { true } else { false } },
    "undefined": kind(\.isUndefined),
    "upper": hasCase { $0.properties.isUppercase },
  ]

  /// The tests with an argument.
  private static let comparisons: [String: Test] = [
    "!=": compare(.notEqual), "<": compare(.less), "<=": compare(.lessOrEqual),
    "==": compare(.equal), ">": compare(.greater), ">=": compare(.greaterOrEqual),
    "divisibleby": { (run, value, call) throws(ChatTemplateError) in
      let divisor = try call.bound(["num"], required: 1)
      return try remainder(&run, value, try divisor.int(0), call) == 0
    },
    "eq": compare(.equal), "equalto": compare(.equal), "ge": compare(.greaterOrEqual),
    "greaterthan": compare(.greater), "gt": compare(.greater), "in": compare(.isIn),
    "le": compare(.lessOrEqual), "lessthan": compare(.less), "lt": compare(.less),
    "ne": compare(.notEqual),
    "sameas": isSame,
  ]

  private static func kind(_ holds: @escaping @Sendable (TemplateValue) -> Bool) -> Test {
    { (_, value, call) throws(ChatTemplateError) in
      _ = try call.bound()
      return holds(value)
    }
  }

  private static func compare(_ comparison: TemplateExpression.ComparisonOperator) -> Test {
    { (run, value, call) throws(ChatTemplateError) in
      let other = try call.bound(["other"], required: 1)[0] ?? .none
      return try run.holds(value, comparison, other, line: call.line)
    }
  }

  private static func hasCase(_ holds: @escaping @Sendable (Unicode.Scalar) -> Bool) -> Test {
    { (run, value, call) throws(ChatTemplateError) in
      _ = try call.bound()
      let text = try run.text(of: value, line: call.line)
      try run.budget.take(text: text.cost, weight: 64, line: call.line)
      let letters = text.string.unicodeScalars.filter(\.properties.isCased)
      return !letters.isEmpty && letters.allSatisfy(holds)
    }
  }

  private static func name(
    _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> String {
    _ = try call.bound()
    guard case .text(let text) = value else {
      throw .evaluation(line: call.line, problem: "\(call.callee) is given \(value.kindName)")
    }
    return text.excerpt
  }

  private static func remainder(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ divisor: Int, _ call: TemplateCall
  ) throws(ChatTemplateError) -> Double {
    let line = call.line
    if call.callee != "the test 'divisibleby'" { _ = try call.bound() }
    let dividend = TemplateExpression(line: line, node: .literal(value))
    let other = TemplateExpression(line: line, node: .literal(.int(divisor)))
    let result = try run.evaluateArithmetic(dividend, [(.remainder, other)])
    return run.number(result) ?? .nan
  }

  private static func isCallable(_ value: TemplateValue) -> Bool {
    switch value {
    case .function, .macro, .method, .loop, .undefined: true
    default: false
    }
  }

  private static func isIterable(_ value: TemplateValue) -> Bool {
    switch value {
    case .text, .list, .map, .undefined, .loop: true
    default: false
    }
  }

  private static func isSequence(_ value: TemplateValue) -> Bool {
    switch value {
    case .text, .map, .undefined: true
    case .list(let list): list.isIndexed
    default: false
    }
  }

  private static func isNumber(_ value: TemplateValue) -> Bool {
    switch value {
    case .bool, .int, .double: true
    default: false
    }
  }

  /// Whether two values are one object: known for those that exist once, and small integers.
  private static func isSame(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> Bool {
    let other = try call.bound(["other"], required: 1)[0] ?? .none
    switch (value, other) {
    case (.none, .none): return true
    case (.bool(let a), .bool(let b)): return a == b
    case (.int(let a), .int(let b)) where (-5...256).contains(a) || a != b: return a == b
    case (.namespace(let a), .namespace(let b)), (.macro(let a), .macro(let b)): return a == b
    case (.bool, _), (_, .bool), (.none, _), (_, .none): return false
    case _ where value.kindName != other.kindName: return false
    default:
      throw .unsupported(
        line: call.line,
        construct: "\(call.callee) between \(value.kindName) and \(other.kindName)")
    }
  }
}

extension TemplateInterpreter {
  mutating func test(
    _ value: TemplateValue, _ name: String, _ call: TemplateCall
  ) throws(ChatTemplateError) -> Bool {
    guard let test = TemplateTests.table[name] else {
      throw .unsupported(line: call.line, construct: call.callee)
    }
    return try test(&self, value, call)
  }
}
