internal import DuetSystem

/// The evaluation of expressions.
extension TemplateInterpreter {
  mutating func evaluate(
    _ expression: TemplateExpression
  ) throws(ChatTemplateError) -> TemplateValue {
    let line = expression.line
    try budget.take(steps: 1, line: line)
    switch expression.node {
    case .literal(let value):
      return value
    case .variable(let number):
      return value(of: number)
    case .list(let expressions):
      var elements: [TemplateValue] = []
      for expression in expressions { elements.append(try evaluate(expression)) }
      return .list(try list(elements, line: line))
    case .arithmetic(let first, let rest):
      return try evaluateArithmetic(first, rest)
    case .concatenation(let operands):
      var result = TemplateText()
      for operand in operands {
        let piece = try text(of: try evaluate(operand), line: line)
        try budget.take(text: piece.cost, line: line)
        result.append(piece)
      }
      return .text(result)
    case .comparison(let first, let rest):
      return try evaluateComparison(first, rest)
    case .all(let operands):
      var value = TemplateValue.bool(true)
      for operand in operands {
        value = try evaluate(operand)
        if !value.isTrue { break }
      }
      return value
    case .any(let operands):
      var value = TemplateValue.bool(false)
      for operand in operands {
        value = try evaluate(operand)
        if value.isTrue { break }
      }
      return value
    case .not(let operand):
      return .bool(!(try evaluate(operand)).isTrue)
    case .negative(let operand):
      let value = try evaluate(operand)
      guard let number = integer(value) else {
        throw .evaluation(line: line, problem: "a minus sign stands before \(value.kindName)")
      }
      return .int(try checked(Int(0).subtractingReportingOverflow(number), line: line))
    case .conditional(let value, let test, let other):
      if try evaluate(test).isTrue { return try evaluate(value) }
      guard let other else { return .undefined(name: "the value of an if without else") }
      return try evaluate(other)
    case .applied(let base, let suffixes):
      var value = try evaluate(base)
      for suffix in suffixes {
        try budget.take(steps: 1, line: suffix.line)
        value = try apply(suffix, to: value)
      }
      return value
    }
  }

  // MARK: - Arithmetic

  private mutating func evaluateArithmetic(
    _ first: TemplateExpression,
    _ rest: [(TemplateExpression.ArithmeticOperator, TemplateExpression)]
  ) throws(ChatTemplateError) -> TemplateValue {
    var result = try evaluate(first)
    if case .text(let text) = result { try budget.take(text: text.cost, line: first.line) }
    for (operation, operand) in rest {
      let right = try evaluate(operand)
      let line = operand.line
      switch (operation, result, right) {
      case (.add, .text(var text), .text(let addition)):
        try budget.take(text: addition.cost, line: line)
        // Cleared so that `text` is the only owner of the text and grows in place.
        result = .none
        text.append(addition)
        result = .text(text)
      case (.add, .list(let start), .list(let addition)):
        result = .list(try list(start.elements + addition.elements, line: line))
      default:
        guard let a = integer(result), let b = integer(right) else {
          throw unsuitable(result, operation.rawValue, right, line: line)
        }
        result = .int(try compute(a, operation, b, line: line))
      }
    }
    return result
  }

  /// Integer arithmetic with Python's rule that a quotient is rounded down.
  private func compute(
    _ a: Int, _ operation: TemplateExpression.ArithmeticOperator, _ b: Int, line: Int
  ) throws(ChatTemplateError) -> Int {
    switch operation {
    case .add: return try checked(a.addingReportingOverflow(b), line: line)
    case .subtract: return try checked(a.subtractingReportingOverflow(b), line: line)
    case .multiply: return try checked(a.multipliedReportingOverflow(by: b), line: line)
    case .floorDivide, .remainder:
      guard b != 0 else { throw .evaluation(line: line, problem: "a division by zero") }
      if b == -1 {
        return operation == .remainder
          ? 0 : try checked(Int(0).subtractingReportingOverflow(a), line: line)
      }
      let (quotient, remainder) = a.quotientAndRemainder(dividingBy: b)
      let roundsUp = remainder != 0 && (remainder < 0) != (b < 0)
      if operation == .remainder { return roundsUp ? remainder + b : remainder }
      return roundsUp ? quotient - 1 : quotient
    }
  }

  private func checked(
    _ result: (partialValue: Int, overflow: Bool), line: Int
  ) throws(ChatTemplateError) -> Int {
    guard !result.overflow else {
      throw .evaluation(line: line, problem: "an integer does not fit 64 bits")
    }
    return result.partialValue
  }

  /// The number of an integer or a boolean (0 or 1, as in Python), nil for other values.
  func integer(_ value: TemplateValue) -> Int? {
    switch value {
    case .int(let number): number
    case .bool(let flag): flag ? 1 : 0
    default: nil
    }
  }

  private func unsuitable(
    _ left: TemplateValue, _ operation: String, _ right: TemplateValue, line: Int
  ) -> ChatTemplateError {
    .evaluation(
      line: line,
      problem: "'\(operation)' between \(left.kindName) and \(right.kindName) has no meaning")
  }

  // MARK: - Comparison

  private mutating func evaluateComparison(
    _ first: TemplateExpression,
    _ rest: [(TemplateExpression.ComparisonOperator, TemplateExpression)]
  ) throws(ChatTemplateError) -> TemplateValue {
    var left = try evaluate(first)
    for (comparison, operand) in rest {
      let right = try evaluate(operand)
      let line = operand.line
      let holds =
        switch comparison {
        case .equal: try areEqual(left, right, line: line)
        case .notEqual: try !areEqual(left, right, line: line)
        case .isIn: try contains(right, left, line: line)
        case .isNotIn: try !contains(right, left, line: line)
        default: try isOrdered(left, comparison, right, line: line)
        }
      guard holds else { return .bool(false) }
      left = right
    }
    return .bool(true)
  }

  /// Python's `==`.
  mutating func areEqual(
    _ a: TemplateValue, _ b: TemplateValue, line: Int
  ) throws(ChatTemplateError) -> Bool {
    try budget.take(steps: 1, line: line)
    switch (a, b) {
    case (.undefined, .undefined), (.none, .none): return true
    case (.text(let a), .text(let b)):
      try budget.take(text: min(a.bytes.count, b.bytes.count), line: line)
      return a.hasSameText(as: b)
    case (.list(let a), .list(let b)):
      guard a.elements.count == b.elements.count else { return false }
      for (first, second) in zip(a.elements, b.elements) {
        guard try areEqual(first, second, line: line) else { return false }
      }
      return true
    case (.map(let a), .map(let b)):
      guard a.entries.count == b.entries.count else { return false }
      for (key, value) in a.entries {
        guard let other = b[key], try areEqual(value, other, line: line) else { return false }
      }
      return true
    case (.namespace(let a), .namespace(let b)): return a == b
    case (.function(let a), .function(let b)): return a == b
    default:
      guard let a = integer(a), let b = integer(b) else { return false }
      return a == b
    }
  }

  /// Python's `element in container`.
  mutating func contains(
    _ container: TemplateValue, _ element: TemplateValue, line: Int
  ) throws(ChatTemplateError) -> Bool {
    switch (container, element) {
    case (.undefined, _): return false
    case (.text(let text), .text(let part)):
      // The search looks at each byte of both a few times.
      try budget.take(text: text.cost, weight: 4, line: line)
      try budget.take(text: part.cost, weight: 4, line: line)
      return text.contains(part)
    case (.list(let list), _):
      for candidate in list.elements {
        if try areEqual(candidate, element, line: line) { return true }
      }
      return false
    case (.map(let map), .text(let key)): return map[key] != nil
    case (.map, _): return false
    default: throw unsuitable(element, "in", container, line: line)
    }
  }

  /// Whether an order holds: between integers by size, between strings by their code points.
  private mutating func isOrdered(
    _ a: TemplateValue, _ comparison: TemplateExpression.ComparisonOperator, _ b: TemplateValue,
    line: Int
  ) throws(ChatTemplateError) -> Bool {
    let order: Int
    if let a = integer(a), let b = integer(b) {
      order = a < b ? -1 : a > b ? 1 : 0
    } else if case .text(let a) = a, case .text(let b) = b {
      try budget.take(text: min(a.bytes.count, b.bytes.count), weight: 8, line: line)
      // UTF-8 bytes and code points have the same order.
      order =
        a.hasSameText(as: b) ? 0 : a.bytes.lexicographicallyPrecedes(b.bytes) ? -1 : 1
    } else {
      throw unsuitable(a, comparison.rawValue, b, line: line)
    }
    return switch comparison {
    case .less: order < 0
    case .lessOrEqual: order <= 0
    case .greater: order > 0
    default: order >= 0
    }
  }

  // MARK: - Conversions

  /// Makes a list, which costs a step for each element and must not be nested too deeply.
  mutating func list(
    _ elements: [TemplateValue], line: Int
  ) throws(ChatTemplateError) -> TemplateList {
    try budget.take(steps: elements.count, line: line)
    let list = TemplateList(elements)
    guard list.depth <= TemplateParser.depthLimit else {
      throw .nestedTooDeeply(line: line, limit: TemplateParser.depthLimit)
    }
    return list
  }

  /// The text of a value that is printed or joined to a string.
  func text(of value: TemplateValue, line: Int) throws(ChatTemplateError) -> TemplateText {
    switch value {
    case .undefined: return TemplateText()
    case .none: return TemplateText("None")
    case .bool(let flag): return TemplateText(flag ? "True" : "False")
    case .int(let number): return TemplateText(String(number))
    case .text(let text): return text
    default:
      throw .evaluation(
        line: line,
        problem: "\(value.kindName) is used as a string without the filter tojson or join")
    }
  }

  /// The elements that a loop over a value visits.
  mutating func elements(
    of value: TemplateValue, line: Int
  ) throws(ChatTemplateError) -> [TemplateValue] {
    switch value {
    case .undefined: return []
    case .list(let list): return list.elements
    case .map(let map): return map.entries.map { .text($0.key) }
    case .text(let text):
      try budget.take(steps: text.bytes.count, line: line)
      return text.scalars.map { .text($0) }
    default:
      throw .evaluation(line: line, problem: "\(value.kindName) has no elements")
    }
  }
}
