internal import DuetSystem
import Glibc

/// Arithmetic, as Python does it except that integers have 64 bits.
extension TemplateInterpreter {
  private typealias Operator = TemplateExpression.ArithmeticOperator

  mutating func evaluateArithmetic(
    _ first: TemplateExpression,
    _ rest: [(TemplateExpression.ArithmeticOperator, TemplateExpression)]
  ) throws(ChatTemplateError) -> TemplateValue {
    var result = try evaluate(first)
    if case .text(let text) = result { try budget.take(text: text.cost, line: first.line) }
    for (operation, operand) in rest {
      let right = try evaluate(operand)
      let line = operand.line
      if operation == .add, case .text(var text) = result, case .text(let addition) = right {
        let other = try escapedFor(text, addition, line: line)
        try budget.take(text: other.cost, line: line)
        if addition.isMarkup, !text.isMarkup {
          text = try escaped(text, line: line)
          text.isMarkup = true
        }
        // Cleared so that `text` is the only owner of the text and grows in place.
        result = .none
        text.append(other)
        result = .text(text)
      } else {
        result = try compute(result, operation, right, line: line)
      }
    }
    return result
  }

  /// `addition` as it is added to `text`: escaped when only `text` is markup.
  private mutating func escapedFor(
    _ text: TemplateText, _ addition: TemplateText, line: Int
  ) throws(ChatTemplateError) -> TemplateText {
    text.isMarkup && !addition.isMarkup ? try escaped(addition, line: line) : addition
  }

  private mutating func compute(
    _ left: TemplateValue, _ operation: Operator, _ right: TemplateValue, line: Int
  ) throws(ChatTemplateError) -> TemplateValue {
    switch (operation, left, right) {
    case (.add, .list(let start), .list(let addition))
    where start.kind == addition.kind && (start.kind == .list || start.kind == .tuple):
      return .list(
        try list(start.elements + addition.elements, kind: start.kind, line: line))
    case (.remainder, .text(let format), _):
      return .text(try formatted(format, with: right, line: line))
    case (.multiply, .text(let text), _):
      if let count = integer(right) { return .text(try repeated(text, count, line: line)) }
    case (.multiply, _, .text(let text)):
      if let count = integer(left) { return .text(try repeated(text, count, line: line)) }
    case (.multiply, .list(let list), _):
      if let count = integer(right) { return try repeated(list, count, line: line) }
    case (.multiply, _, .list(let list)):
      if let count = integer(left) { return try repeated(list, count, line: line) }
    default: break
    }
    if let a = integer(left), let b = integer(right), let exact = try compute(a, operation, b, line)
    {
      return .int(exact)
    }
    guard let a = number(left), let b = number(right) else {
      throw unsuitable(left, operation.rawValue, right, line: line)
    }
    return .double(try compute(a, operation, b, line))
  }

  private mutating func repeated(
    _ text: TemplateText, _ count: Int, line: Int
  ) throws(ChatTemplateError) -> TemplateText {
    guard !text.isEmpty, count > 0 else { return TemplateText() }
    let (bytes, overflow) = text.cost.multipliedReportingOverflow(by: count)
    try budget.take(text: overflow ? .max : bytes, line: line)
    var result = text.repeated(count)
    result.isMarkup = text.isMarkup
    return result
  }

  private mutating func repeated(
    _ list: TemplateList, _ count: Int, line: Int
  ) throws(ChatTemplateError) -> TemplateValue {
    guard list.kind == .list || list.kind == .tuple else {
      throw .evaluation(line: line, problem: "\(list.kind.name) is multiplied")
    }
    guard !list.elements.isEmpty, count > 0 else {
      return .list(TemplateList([], kind: list.kind))
    }
    let (steps, overflow) = list.elements.count.multipliedReportingOverflow(by: count)
    try budget.take(steps: overflow ? .max : steps, line: line)
    let elements = Array(repeatElement(list.elements, count: count).joined())
    return .list(TemplateList(elements, kind: list.kind, depth: list.depth))
  }

  // MARK: - Numbers

  /// The result of an operation on integers, or nil when it is a number with a fraction.
  private func compute(
    _ a: Int, _ operation: Operator, _ b: Int, _ line: Int
  ) throws(ChatTemplateError) -> Int? {
    switch operation {
    case .add: return try checked(a.addingReportingOverflow(b), line: line)
    case .subtract: return try checked(a.subtractingReportingOverflow(b), line: line)
    case .multiply: return try checked(a.multipliedReportingOverflow(by: b), line: line)
    case .divide: return nil
    case .power: return b < 0 ? nil : try power(a, b, line: line)
    case .floorDivide, .remainder:
      guard b != 0 else { throw .evaluation(line: line, problem: "a division by zero") }
      if b == -1 {
        return operation == .remainder
          ? 0 : try checked(Int(0).subtractingReportingOverflow(a), line: line)
      }
      // Python rounds a quotient down.
      let (quotient, remainder) = a.quotientAndRemainder(dividingBy: b)
      let roundsUp = remainder != 0 && (remainder < 0) != (b < 0)
      if operation == .remainder { return roundsUp ? remainder + b : remainder }
      return roundsUp ? quotient - 1 : quotient
    }
  }

  private func power(_ base: Int, _ exponent: Int, line: Int) throws(ChatTemplateError) -> Int {
    if base == 0 || base == 1 { return exponent == 0 ? 1 : base }
    if base == -1 { return exponent % 2 == 0 ? 1 : -1 }
    var result = 1
    // No power of another base beyond the 63rd fits.
    for _ in 0..<min(exponent, 64) {
      result = try checked(result.multipliedReportingOverflow(by: base), line: line)
    }
    return result
  }

  private func compute(
    _ a: Double, _ operation: Operator, _ b: Double, _ line: Int
  ) throws(ChatTemplateError) -> Double {
    switch operation {
    case .add: return a + b
    case .subtract: return a - b
    case .multiply: return a * b
    case .power:
      let result = pow(a, b)
      guard !(a == 0 && b < 0), !(a < 0 && result.isNaN), result.isFinite || !a.isFinite else {
        throw .evaluation(line: line, problem: "a power has no value")
      }
      return result
    case .divide, .floorDivide, .remainder:
      guard b != 0 else { throw .evaluation(line: line, problem: "a division by zero") }
      if operation == .divide { return a / b }
      // The remainder has the sign of the divisor.
      var remainder = fmod(a, b)
      if remainder != 0, (remainder < 0) != (b < 0) { remainder += b }
      return operation == .remainder ? remainder : ((a - remainder) / b).rounded()
    }
  }

  func negated(_ value: TemplateValue, line: Int) throws(ChatTemplateError) -> TemplateValue {
    if case .double(let number) = value { return .double(-number) }
    guard let number = integer(value) else {
      throw .evaluation(line: line, problem: "a minus sign stands before \(value.kindName)")
    }
    return .int(try checked(Int(0).subtractingReportingOverflow(number), line: line))
  }

  func checked(
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

  /// The number of a value that is one.
  func number(_ value: TemplateValue) -> Double? {
    if case .double(let number) = value { number } else { integer(value).map(Double.init) }
  }

  func unsuitable(
    _ left: TemplateValue, _ operation: String, _ right: TemplateValue, line: Int
  ) -> ChatTemplateError {
    .evaluation(
      line: line,
      problem: "'\(operation)' between \(left.kindName) and \(right.kindName) has no meaning")
  }
}
