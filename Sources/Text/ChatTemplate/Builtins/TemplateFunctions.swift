internal import DuetSystem

/// The functions that a template may call by name.
extension TemplateInterpreter {
  /// The longest format for `strftime_now`, in bytes.
  private static var dateFormatLimit: Int { 256 }

  mutating func call(
    _ function: TemplateFunction, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let line = call.line
    switch function {
    case .raiseException:
      let message = try call.bound(["message"], required: 1)[0] ?? .none
      throw .conversationRefused(message: try text(of: message, line: line).excerpt)
    case .namespace:
      return try makeNamespace(call)
    case .range:
      return .list(try range(call))
    case .dict:
      let entries = try dictionary(call)
      return .map(try checked(entries, line: line))
    case .cycler:
      guard !call.positional.isEmpty, call.named.isEmpty else {
        throw .evaluation(line: line, problem: "\(call.callee) has nothing to choose from")
      }
      return try makeHelper(TemplateHelper(items: call.positional), line: line)
    case .joiner:
      let separator = try call.bound(["sep"])[0] ?? .text(", ")
      return try makeHelper(TemplateHelper(separator: separator), line: line)
    case .currentTime:
      let format = try call.bound(["format"], required: 1).text(0)
      guard format.bytes.count <= Self.dateFormatLimit else {
        throw .evaluation(line: line, problem: "a date format is longer than any real one")
      }
      switch date.formatted(format.string) {
      case .success(let text):
        return .text(TemplateText(text, isContent: !format.contentRanges.isEmpty))
      case .failure(let unknown):
        throw .unsupported(line: line, construct: "the date format '\(unknown.directive)'")
      }
    }
  }

  private mutating func makeNamespace(
    _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let entries = try dictionary(call).entries
    // A namespace lives until rendering ends, so it costs about as many steps as it uses words of
    // memory.
    try budget.take(steps: 16 + entries.count, line: call.line)
    var values: [String: TemplateValue] = [:]
    for (key, value) in entries {
      guard case .text(let name) = key else { continue }
      values[name.string] = value
    }
    namespaces.append(values)
    return .namespace(namespaces.count - 1)
  }

  /// The mapping that Python's `dict` makes of a mapping or pairs, and named values.
  private mutating func dictionary(
    _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateMap {
    let line = call.line
    guard call.positional.count <= 1 else {
      throw .evaluation(line: line, problem: "\(call.callee) is given too many arguments")
    }
    var result = TemplateMap()
    switch call.positional.first {
    case nil: break
    case .map(let map): result = try checked(map, line: line)
    case .some(let pairs):
      for pair in try elements(of: pairs, line: line) {
        let parts = try elements(of: pair, line: line)
        guard parts.count == 2 else {
          throw .evaluation(
            line: line, problem: "\(call.callee) is given something else than pairs")
        }
        result.set(parts[0], try key(parts[0], line: line), to: parts[1])
      }
    }
    try budget.take(steps: call.named.count, line: line)
    for (name, value) in call.named {
      let name = TemplateText(name)
      result.set(.text(name), TemplateKey(name), to: value)
    }
    return result
  }

  private mutating func range(_ call: TemplateCall) throws(ChatTemplateError) -> TemplateList {
    let arguments = try call.bound(["start", "stop", "step"], required: 1)
    let hasEnd = arguments[1] != nil
    let start = hasEnd ? try arguments.int(0) : 0
    let end = try arguments.int(hasEnd ? 1 : 0)
    let step = try arguments.int(2, or: 1)
    guard step != 0 else { throw .evaluation(line: call.line, problem: "a range with step zero") }
    var elements: [TemplateValue] = []
    var number = start
    while step > 0 ? number < end : number > end {
      guard elements.count < TemplateBudget.rangeLimit else {
        throw .rangeTooLong(line: call.line, limit: TemplateBudget.rangeLimit)
      }
      elements.append(.int(number))
      let (next, overflow) = number.addingReportingOverflow(step)
      if overflow { break }
      number = next
    }
    try budget.take(steps: elements.count, line: call.line)
    return TemplateList(elements, kind: .range, depth: 1)
  }
}
