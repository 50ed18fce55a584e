/// The filters of numbers.
enum NumberFilters {
  static let table: [String: TemplateFilters.Filter] = [
    "abs": abs, "float": float, "int": int, "round": round,
  ]

  private static func int(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let arguments = try call.bound(["default", "base"])
    let initial = arguments[0] ?? .int(0)
    switch value {
    case .text(let text):
      let base = try arguments.int(1, or: 10)
      guard (2...36).contains(base) else { return initial }
      try run.budget.take(text: text.cost, weight: 64, line: call.line)
      if let number = PythonNumber.integer(text.string, base: base) { return .int(number) }
      guard let number = PythonNumber.double(text.string), number.isFinite else { return initial }
      return try whole(number, call)
    case .double(let number):
      return number.isNaN ? initial : try whole(number, call)
    case .undefined:
      throw .evaluation(line: call.line, problem: "\(call.callee) is given \(value.kindName)")
    default:
      return run.integer(value).map { .int($0) } ?? initial
    }
  }

  private static func whole(
    _ number: Double, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    guard let whole = Int(exactly: number.rounded(.towardZero)) else {
      throw .evaluation(line: call.line, problem: "an integer does not fit 64 bits")
    }
    return .int(whole)
  }

  private static func float(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let initial = try call.bound(["default"])[0] ?? .double(0)
    if case .text(let text) = value {
      try run.budget.take(text: text.cost, weight: 16, line: call.line)
      return PythonNumber.double(text.string).map { .double($0) } ?? initial
    }
    if value.isUndefined {
      throw .evaluation(line: call.line, problem: "\(call.callee) is given \(value.kindName)")
    }
    return run.number(value).map { .double($0) } ?? initial
  }

  private static func abs(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    _ = try call.bound()
    if case .double(let number) = value { return .double(number.magnitude) }
    guard let number = run.integer(value) else {
      throw .evaluation(line: call.line, problem: "\(call.callee) is given \(value.kindName)")
    }
    return number < 0 ? try run.negated(.int(number), line: call.line) : .int(number)
  }

  private static func round(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let arguments = try call.bound(["precision", "method"])
    let digits = try arguments.int(0)
    let method = arguments[1] == nil ? "common" : try arguments.text(1).excerpt
    guard ["common", "ceil", "floor"].contains(method) else {
      throw .evaluation(line: call.line, problem: "\(call.callee) knows no such method")
    }
    guard let number = run.number(value) else {
      throw .evaluation(line: call.line, problem: "\(call.callee) is given \(value.kindName)")
    }
    if method == "common", let whole = run.integer(value) {
      guard digits < 0 else { return .int(whole) }
      let rounded = PythonNumber.rounded(number, digits: digits, method: method)
      return .int(Int(exactly: rounded) ?? whole)
    }
    return .double(PythonNumber.rounded(number, digits: digits, method: method))
  }
}
