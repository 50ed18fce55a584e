internal import DuetSystem

/// The filters of sequences.
enum ListFilters {
  static let table: [String: TemplateFilters.Filter] = [
    "batch": batch, "count": length, "dictsort": dictSort, "first": first, "groupby": groupBy,
    "join": join, "last": last, "length": length, "list": list,
    "max": { (run, value, call) throws(ChatTemplateError) in
      try extreme(&run, value, call, isLargest: true)
    },
    "min": { (run, value, call) throws(ChatTemplateError) in
      try extreme(&run, value, call, isLargest: false)
    },
    "reverse": reverse, "slice": slice, "sort": sort, "sum": sum, "unique": unique,
  ]

  // MARK: - Parts

  private static func length(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    _ = try call.bound()
    switch value {
    case .undefined: return .int(0)
    case .list(let list) where !list.isIterator: return .int(list.elements.count)
    case .map(let map): return .int(map.entries.count)
    case .text(let text):
      try run.budget.take(text: text.cost, line: call.line)
      return .int(text.scalarCount)
    default: throw .evaluation(line: call.line, problem: "\(value.kindName) has no length")
    }
  }

  private static func first(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    _ = try call.bound()
    let none = TemplateValue.undefined(name: "the first element")
    if case .list(let list) = value, case .iterator(let number) = list.kind {
      let position = run.iteratorPositions[number]
      guard position < list.elements.count else { return none }
      run.iteratorPositions[number] += 1
      return list.elements[position]
    }
    return try run.elements(of: value, line: call.line).first ?? none
  }

  private static func last(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    _ = try call.bound()
    if case .list(let list) = value, list.isIterator {
      throw .evaluation(line: call.line, problem: "\(value.kindName) cannot be read from its end")
    }
    let elements = try run.elements(of: value, line: call.line)
    return elements.last ?? .undefined(name: "the last element")
  }

  private static func list(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    _ = try call.bound()
    let elements = try run.elements(of: value, line: call.line)
    return .list(try run.list(elements, line: call.line))
  }

  private static func reverse(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    _ = try call.bound()
    let elements = try run.elements(of: value, line: call.line)
    if case .text(let text) = value {
      try run.budget.take(text: text.cost, weight: 4, line: call.line)
      return .text(text.reversed())
    }
    return try run.iterator(elements.reversed(), line: call.line)
  }

  private static func batch(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let line = call.line
    let arguments = try call.bound(["linecount", "fill_with"], required: 1)
    let size = try arguments.int(0)
    let elements = try run.elements(of: value, line: line)
    guard size > 0 else {
      throw .evaluation(line: line, problem: "\(call.callee) needs a size of at least 1")
    }
    var batches: [TemplateValue] = []
    for start in stride(from: 0, to: elements.count, by: min(size, max(elements.count, 1))) {
      var batch = Array(elements[start..<min(start + min(size, elements.count), elements.count)])
      if arguments.isGiven(1), let fill = arguments[1], batch.count < size {
        try run.budget.take(steps: size - batch.count, line: line)
        batch += repeatElement(fill, count: size - batch.count)
      }
      batches.append(.list(try run.list(batch, line: line)))
    }
    return try run.iterator(batches, line: line)
  }

  private static func slice(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let line = call.line
    let arguments = try call.bound(["slices", "fill_with"], required: 1)
    let count = try arguments.int(0)
    let elements = try run.elements(of: value, line: line)
    guard count > 0 else {
      throw .evaluation(line: line, problem: "\(call.callee) needs at least one slice")
    }
    try run.budget.take(steps: count, line: line)
    let (size, longer) = elements.count.quotientAndRemainder(dividingBy: count)
    var slices: [TemplateValue] = []
    var start = 0
    for number in 0..<count {
      let end = start + size + (number < longer ? 1 : 0)
      var slice = Array(elements[start..<end])
      if arguments.isGiven(1), let fill = arguments[1], number >= longer { slice.append(fill) }
      slices.append(.list(try run.list(slice, line: line)))
      start = end
    }
    return try run.iterator(slices, line: line)
  }

  // MARK: - Sums

  private static func join(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let line = call.line
    let arguments = try call.bound(["d", "attribute"])
    let separator = try arguments[0].map { (value) throws(ChatTemplateError) in
      try run.text(of: value, line: line)
    }
    var elements = try run.elements(of: value, line: line)
    if arguments.isGiven(1) {
      elements = try run.attributes(arguments[1], of: elements, line: line)
    }
    return .text(try run.joined(elements, with: separator ?? TemplateText(), line: line))
  }

  private static func sum(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let line = call.line
    let arguments = try call.bound(["attribute", "start"])
    var elements = try run.elements(of: value, line: line)
    if arguments.isGiven(0) {
      elements = try run.attributes(arguments[0], of: elements, line: line)
    }
    var total = TemplateExpression.constant(arguments[1] ?? .int(0), line: line)
    for element in elements {
      if case .text = element {
        throw .evaluation(line: line, problem: "\(call.callee) is given a string")
      }
      let sum = try run.evaluateArithmetic(total, [(.add, .constant(element, line: line))])
      total = .constant(sum, line: line)
    }
    return try run.evaluate(total)
  }

  // MARK: - Order

  private static func sort(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let line = call.line
    let arguments = try call.bound(["reverse", "case_sensitive", "attribute"])
    let elements = try run.elements(of: value, line: line)
    var keys = elements
    if arguments.isGiven(2), case .text(let names) = arguments[2] {
      // Several attributes have commas between them.
      try run.budget.take(steps: names.bytes.count, line: line)
      let paths = names.split(at: TemplateText(","), limit: .max) ?? []
      var parts: [[TemplateValue]] = Array(repeating: [], count: elements.count)
      for path in paths {
        let values = try run.attributes(.text(path), of: elements, line: line)
        for (index, value) in values.enumerated() {
          parts[index].append(
            arguments.flag(1) ? value : try run.withoutCase(value, line: line))
        }
      }
      keys = []
      for part in parts { keys.append(.list(try run.list(part, line: line))) }
    } else {
      if arguments.isGiven(2) { keys = try run.attributes(arguments[2], of: elements, line: line) }
      if !arguments.flag(1) { keys = try run.withoutCase(keys, line: line) }
    }
    let positions = try run.sortedPositions(of: keys, descending: arguments.flag(0), line: line)
    return .list(try run.list(positions.map { elements[$0] }, line: line))
  }

  private static func dictSort(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let line = call.line
    let arguments = try call.bound(["case_sensitive", "by", "reverse"])
    let by = arguments[1] == nil ? "key" : try arguments.text(1).excerpt
    guard by == "key" || by == "value", case .map(let map) = value else {
      throw .evaluation(
        line: line, problem: "\(call.callee) sorts a mapping by key or value, not \(value.kindName)"
      )
    }
    var keys = by == "key" ? map.entries.map(\.key) : map.entries.map(\.value)
    if !arguments.flag(0) { keys = try run.withoutCase(keys, line: line) }
    let positions = try run.sortedPositions(of: keys, descending: arguments.flag(2), line: line)
    let items = try run.items(of: map, kind: .list, line: line).elements
    return .list(try run.list(positions.map { items[$0] }, line: line))
  }

  private static func extreme(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall, isLargest: Bool
  ) throws(ChatTemplateError) -> TemplateValue {
    let line = call.line
    let arguments = try call.bound(["case_sensitive", "attribute"])
    let elements = try run.elements(of: value, line: line)
    guard !elements.isEmpty else { return .undefined(name: "an element of an empty sequence") }
    var keys = elements
    if arguments.isGiven(1) { keys = try run.attributes(arguments[1], of: elements, line: line) }
    if !arguments.flag(0) { keys = try run.withoutCase(keys, line: line) }
    var best = 0
    for index in keys.indices.dropFirst() {
      let order = try run.order(keys[index], keys[best], line: line)
      if order == (isLargest ? .after : .before) { best = index }
    }
    return elements[best]
  }

  // MARK: - Groups

  private static func unique(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let line = call.line
    let arguments = try call.bound(["case_sensitive", "attribute"])
    let elements = try run.elements(of: value, line: line)
    var keys = elements
    if arguments.isGiven(1) { keys = try run.attributes(arguments[1], of: elements, line: line) }
    if !arguments.flag(0) { keys = try run.withoutCase(keys, line: line) }
    var seen: Set<TemplateKey> = []
    var kept: [TemplateValue] = []
    for (element, key) in zip(elements, keys) {
      if seen.insert(try run.key(key, line: line)).inserted { kept.append(element) }
    }
    return try run.iterator(kept, line: line)
  }

  private static func groupBy(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let line = call.line
    let arguments = try call.bound(["attribute", "default", "case_sensitive"], required: 1)
    let elements = try run.elements(of: value, line: line)
    var names = try run.attributes(arguments[0], of: elements, line: line)
    if let initial = arguments[1] { names = names.map { $0.isUndefined ? initial : $0 } }
    let keys = arguments.flag(2) ? names : try run.withoutCase(names, line: line)
    var groups: [TemplateValue] = []
    var members: [TemplateValue] = []
    let positions = try run.sortedPositions(of: keys, descending: false, line: line)
    for (index, position) in positions.enumerated() {
      members.append(elements[position])
      if index + 1 < positions.count,
        try run.areEqual(keys[position], keys[positions[index + 1]], line: line)
      {
        continue
      }
      let name = names[positions[index + 1 - members.count]]
      let group = TemplateValue.list(try run.list(members, line: line))
      groups.append(.list(try run.list([name, group], kind: .group, line: line)))
      members = []
    }
    return .list(try run.list(groups, line: line))
  }
}

extension TemplateExpression {
  fileprivate static func constant(_ value: TemplateValue, line: Int) -> TemplateExpression {
    TemplateExpression(line: line, node: .literal(value))
  }
}

extension TemplateInterpreter {
  /// The attribute of each element that a path names: names and numbers with dots between them.
  mutating func attributes(
    _ path: TemplateValue?, of elements: [TemplateValue], initial: TemplateValue? = nil, line: Int
  ) throws(ChatTemplateError) -> [TemplateValue] {
    var parts: [TemplateValue] = []
    switch path {
    case .int: parts = [path ?? .none]
    case .text(let text):
      try budget.take(text: text.cost, line: line)
      for part in text.split(at: TemplateText("."), limit: .max) ?? [] {
        let isNumber = !part.isEmpty && part.bytes.allSatisfy { (0x30...0x39).contains($0) }
        parts.append(isNumber ? Int(part.string).map { .int($0) } ?? .text(part) : .text(part))
      }
    default:
      throw .evaluation(line: line, problem: "an attribute is named by no string")
    }
    var values: [TemplateValue] = []
    for element in elements {
      var value = element
      for part in parts {
        try budget.take(steps: 1, line: line)
        value = try self.element(part, of: value, line: line)
        if value.isUndefined, let initial { value = initial }
      }
      values.append(value)
    }
    return values
  }

  /// A value for comparisons that ignore case: a string in small letters.
  mutating func withoutCase(
    _ value: TemplateValue, line: Int
  ) throws(ChatTemplateError) -> TemplateValue {
    guard case .text(let text) = value else { return value }
    try budget.take(text: text.cost, weight: 64, line: line)
    return .text(text.lowercased())
  }

  mutating func withoutCase(
    _ values: [TemplateValue], line: Int
  ) throws(ChatTemplateError) -> [TemplateValue] {
    var result: [TemplateValue] = []
    for value in values { result.append(try withoutCase(value, line: line)) }
    return result
  }
}
