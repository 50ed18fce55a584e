internal import DuetSystem

/// The evaluation of expressions.
extension TemplateInterpreter {
  mutating func evaluate(
    _ expression: TemplateExpression
  ) throws(ChatTemplateError) -> TemplateValue {
    try budget.take(steps: 1, line: expression.line)
    // These have no parts, and are most of all expressions.
    switch expression.node {
    case .literal(let value): return value
    case .variable(let number): return value(of: number)
    default:
      return try deeper(line: expression.line) { (self) throws(ChatTemplateError) in
        try self.evaluateParts(of: expression)
      }
    }
  }

  private mutating func evaluateParts(
    of expression: TemplateExpression
  ) throws(ChatTemplateError) -> TemplateValue {
    let line = expression.line
    switch expression.node {
    case .literal(let value):
      return value
    case .variable(let number):
      return value(of: number)
    case .list(let expressions):
      return .list(try list(try evaluate(expressions), line: line))
    case .tuple(let expressions):
      return .list(try list(try evaluate(expressions), kind: .tuple, line: line))
    case .map(let entries):
      return try evaluateMap(entries, line: line)
    case .arithmetic(let first, let rest):
      return try evaluateArithmetic(first, rest)
    case .concatenation(let operands):
      return .text(try evaluateConcatenation(operands, line: line))
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
      return try negated(try evaluate(operand), line: line)
    case .positive(let operand):
      let value = try evaluate(operand)
      if case .double = value { return value }
      guard let number = integer(value) else {
        throw .evaluation(line: line, problem: "a plus sign stands before \(value.kindName)")
      }
      return .int(number)
    case .conditional(let value, let test, let other):
      if try evaluate(test).isTrue { return try evaluate(value) }
      guard let other else { return .undefined(name: "the value of an if without else") }
      return try evaluate(other)
    case .applied(let base, let suffixes):
      return try apply(suffixes, to: try evaluate(base))
    }
  }

  private mutating func evaluate(
    _ expressions: [TemplateExpression]
  ) throws(ChatTemplateError) -> [TemplateValue] {
    var values: [TemplateValue] = []
    for expression in expressions { values.append(try evaluate(expression)) }
    return values
  }

  private mutating func evaluateMap(
    _ entries: [(key: TemplateExpression, value: TemplateExpression)], line: Int
  ) throws(ChatTemplateError) -> TemplateValue {
    var map = TemplateMap()
    for (key, value) in entries {
      let key = try evaluate(key)
      map.set(key, try self.key(key, line: line), to: try evaluate(value))
    }
    return .map(try checked(map, line: line))
  }

  private mutating func evaluateConcatenation(
    _ operands: [TemplateExpression], line: Int
  ) throws(ChatTemplateError) -> TemplateText {
    var result = TemplateText()
    for operand in operands {
      let piece = try text(of: try evaluate(operand), line: line)
      try budget.take(text: piece.cost, line: line)
      result.append(piece)
    }
    return result
  }

  // MARK: - Containers

  /// A value as the key of a mapping.
  mutating func key(_ value: TemplateValue, line: Int) throws(ChatTemplateError) -> TemplateKey {
    try payForHash(of: value, line: line)
    guard let key = TemplateKey(value) else {
      throw .evaluation(line: line, problem: "\(value.kindName) is the key of a mapping")
    }
    return key
  }

  private mutating func payForHash(
    of value: TemplateValue, line: Int
  ) throws(ChatTemplateError) {
    if case .text(let text) = value { try budget.take(text: text.cost, weight: 16, line: line) }
    guard case .list(let list) = value else { return }
    try budget.take(steps: list.elements.count, line: line)
    for element in list.elements { try payForHash(of: element, line: line) }
  }

  /// Makes a list, which costs a step for each element and must not be nested too deeply.
  mutating func list(
    _ elements: [TemplateValue], kind: TemplateList.Kind = .list, line: Int
  ) throws(ChatTemplateError) -> TemplateList {
    try budget.take(steps: elements.count, line: line)
    let list = TemplateList(elements, kind: kind)
    guard list.depth <= TemplateParser.depthLimit else {
      throw .nestedTooDeeply(line: line, limit: TemplateParser.depthLimit)
    }
    return list
  }

  /// Makes the result of a filter that is read once.
  mutating func iterator(
    _ elements: [TemplateValue], line: Int
  ) throws(ChatTemplateError) -> TemplateValue {
    iteratorPositions.append(0)
    return .list(
      try list(elements, kind: .iterator(iteratorPositions.count - 1), line: line))
  }

  /// A mapping that was made, which costs a step for each entry and must not be nested too deeply.
  mutating func checked(_ map: TemplateMap, line: Int) throws(ChatTemplateError) -> TemplateMap {
    try budget.take(steps: map.entries.count, line: line)
    guard map.depth <= TemplateParser.depthLimit else {
      throw .nestedTooDeeply(line: line, limit: TemplateParser.depthLimit)
    }
    return map
  }

  /// The elements that a loop over a value visits.
  mutating func elements(
    of value: TemplateValue, line: Int
  ) throws(ChatTemplateError) -> [TemplateValue] {
    switch value {
    case .undefined: return []
    case .list(let list):
      guard case .iterator(let number) = list.kind else { return list.elements }
      let position = iteratorPositions[number]
      iteratorPositions[number] = list.elements.count
      if position == 0 { return list.elements }
      try budget.take(steps: list.elements.count - position, line: line)
      return Array(list.elements.dropFirst(position))
    case .map(let map):
      try budget.take(steps: map.entries.count, line: line)
      return map.entries.map(\.key)
    case .text(let text):
      try budget.take(steps: text.bytes.count, line: line)
      return text.scalars.map { .text($0) }
    default:
      throw .evaluation(line: line, problem: "\(value.kindName) has no elements")
    }
  }

  /// The text of a value that is printed or joined to a string, as Python's `str` makes it.
  mutating func text(
    of value: TemplateValue, line: Int
  ) throws(ChatTemplateError) -> TemplateText {
    switch value {
    case .undefined: return TemplateText()
    case .text(let text): return text
    default: return try representation(of: value, line: line)
    }
  }
}
