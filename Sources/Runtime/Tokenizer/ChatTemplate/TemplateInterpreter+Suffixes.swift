/// Parts of values, calls and methods.
extension TemplateInterpreter {
  /// Bytes of a format for `strftime_now`.
  private static var dateFormatLimit: Int { 256 }

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
    /// Python's bounds: negative ones count from the end, and all are moved into the sequence.
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

  // MARK: - Functions

  private mutating func call(
    _ function: TemplateFunction, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let line = call.line
    switch function {
    case .raiseException:
      try call.check(least: 1, most: 1)
      throw .conversationRefused(message: try text(of: call.positional[0], line: line).excerpt)
    case .namespace:
      try call.check(most: 0, names: nil)
      // A namespace lives until the end, so it costs about as many steps as it takes words.
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

  private mutating func callMethod(
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
