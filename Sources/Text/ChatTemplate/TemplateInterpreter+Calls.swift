internal import DuetSystem

/// Functions, and the methods of strings and mappings.
extension TemplateInterpreter {
  /// The longest format for `strftime_now`, in bytes.
  private static var dateFormatLimit: Int { 256 }

  mutating func call(
    _ function: TemplateFunction, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let line = call.line
    switch function {
    case .raiseException:
      try call.check(least: 1, most: 1)
      throw .conversationRefused(message: try text(of: call.positional[0], line: line).excerpt)
    case .namespace:
      try call.check(most: 0, names: nil)
      // A namespace lives until rendering ends, so it costs about as many steps as it uses words of
      // memory.
      try budget.take(steps: 16 + call.named.count, line: line)
      namespaces.append(
        Dictionary(call.named.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 }))
      return .namespace(namespaces.count - 1)
    case .range:
      return .list(try range(call))
    case .currentTime:
      try call.check(least: 1, most: 1)
      let format = try call.text(0)
      guard format.bytes.count <= Self.dateFormatLimit else {
        throw .evaluation(line: line, problem: "a date format is longer than any real one")
      }
      switch date.formatted(format.string) {
      case .success(let text): return .text(TemplateText(text))
      case .failure(let unknown):
        throw .unsupported(line: line, construct: "the date format '\(unknown.directive)'")
      }
    }
  }

  private mutating func range(_ call: TemplateCall) throws(ChatTemplateError) -> TemplateList {
    try call.check(least: 1, most: 3)
    var numbers: [Int] = []
    for index in call.positional.indices { numbers.append(try call.int(index)) }
    let start = numbers.count == 1 ? 0 : numbers[0]
    let end = numbers.count == 1 ? numbers[0] : numbers[1]
    let step = numbers.count == 3 ? numbers[2] : 1
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
    return TemplateList(elements, depth: 1)
  }

  // MARK: - Methods

  mutating func callMethod(
    _ name: String, of value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    switch value {
    case .text(let text):
      return try callMethod(name, of: text, call)
    case .map(let map) where name == "items":
      try call.check(most: 0)
      return .list(try items(of: map, line: call.line))
    case .map(let map) where name == "get":
      try call.check(least: 1, most: 2)
      return map[try call.text(0)] ?? (call.positional.count > 1 ? call.positional[1] : .none)
    case .undefined(let base):
      throw .evaluation(
        line: call.line, problem: "'\(base)' is undefined and does not have \(call.callee)")
    default:
      throw .unsupported(line: call.line, construct: "\(call.callee) of \(value.kindName)")
    }
  }

  mutating func items(of map: TemplateMap, line: Int) throws(ChatTemplateError) -> TemplateList {
    var pairs: [TemplateValue] = []
    for (key, value) in map.entries {
      pairs.append(.list(try list([.text(key), value], line: line)))
    }
    return try list(pairs, line: line)
  }

  private mutating func callMethod(
    _ name: String, of text: TemplateText, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let line = call.line
    try budget.take(text: text.cost, line: line)
    switch name {
    case "strip": return .text(try strip(text, call))
    case "lstrip": return .text(try strip(text, call, end: false))
    case "rstrip": return .text(try strip(text, call, start: false))
    case "title":
      try call.check(most: 0)
      // Case mapping looks every code point up in tables.
      try budget.take(text: text.cost, weight: 64, line: line)
      return .text(text.titled())
    case "split": return .list(try split(text, call))
    case "replace": return .text(try replace(text, call))
    case "startswith":
      try call.check(least: 1, most: 1)
      return .bool(text.bytes.starts(with: try call.text(0).bytes))
    case "endswith":
      try call.check(least: 1, most: 1)
      let end = try call.text(0).bytes
      return .bool(text.bytes.suffix(end.count).elementsEqual(end))
    default:
      throw .unsupported(line: line, construct: call.callee)
    }
  }

  mutating func strip(
    _ text: TemplateText, _ call: TemplateCall, start: Bool = true, end: Bool = true
  ) throws(ChatTemplateError) -> TemplateText {
    try call.check(most: 1)
    guard let argument = call.positional.first, case .text(let set) = argument else {
      if case .some(let other) = call.positional.first, other.isTrue {
        throw .evaluation(line: call.line, problem: "\(call.callee) is given \(other.kindName)")
      }
      return text.stripped(start: start, end: end)
    }
    // Each code point is looked up in a set.
    try budget.take(text: text.cost + set.cost, weight: 16, line: call.line)
    return text.stripped(of: set, start: start, end: end)
  }

  private mutating func split(
    _ text: TemplateText, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateList {
    try call.check(most: 1)
    let limit = budget.steps
    let pieces: [TemplateText]?
    if let argument = call.positional.first {
      guard case .text(let separator) = argument, !separator.isEmpty else {
        throw .evaluation(line: call.line, problem: "\(call.callee) needs a separator")
      }
      try budget.take(text: separator.cost, line: call.line)
      pieces = text.split(at: separator, limit: limit)
    } else {
      try budget.take(text: text.cost, weight: 4, line: call.line)
      pieces = text.splitAtWhitespace(limit: limit)
    }
    guard let pieces else {
      throw .tooManySteps(line: call.line, limit: TemplateBudget.stepLimit)
    }
    try budget.take(steps: pieces.count, line: call.line)
    return try list(pieces.map { .text($0) }, line: call.line)
  }

  mutating func replace(
    _ text: TemplateText, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateText {
    try call.check(least: 2, most: 2)
    let old = try call.text(0)
    let new = try call.text(1)
    guard !old.isEmpty else {
      throw .unsupported(line: call.line, construct: "replacing the empty string")
    }
    try budget.take(text: old.cost, line: call.line)
    guard let pieces = text.split(at: old, limit: budget.steps) else {
      throw .tooManySteps(line: call.line, limit: TemplateBudget.stepLimit)
    }
    try budget.take(steps: pieces.count, line: call.line)
    // At most 10^6 pieces times 2^27 bytes, which fits an Int.
    try budget.take(text: (pieces.count - 1) * new.cost, line: call.line)
    return new.joining(pieces)
  }
}
