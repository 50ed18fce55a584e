/// Loops.
extension TemplateInterpreter {
  mutating func run(_ loop: TemplateLoop, line: Int) throws(ChatTemplateError) -> Flow {
    let value = try evaluate(loop.elements)
    let elements = try self.elements(of: value, line: line)
    let number = loops.count
    try run(loop, over: elements, depth: 0, line: line)
    if case .list(let list) = value, case .iterator(let iterator) = list.kind {
      // A loop that was left has not read the rest.
      iteratorPositions[iterator] -= loops[number].unreadCount
    }
    return .next
  }

  /// Runs a loop, or one pass after another of a recursive loop that calls itself.
  private mutating func run(
    _ loop: TemplateLoop, over elements: [TemplateValue], depth: Int, line: Int
  ) throws(ChatTemplateError) {
    // The state of a loop stays until rendering ends, since a namespace may hold it.
    try budget.take(steps: 8, line: line)
    let number = loops.count
    loops.append(
      TemplateLoopState(loop, elements: elements, scope: scope, depth: depth, line: line))
    defer { loops[number].finish() }
    // As in Jinja, `else` also runs when every pass ended early.
    var hasWholePass = false
    while let element = try nextElement(number) {
      let pass = TemplateScope(inside: scope)
      let flow = try inside(pass) { (self) throws(ChatTemplateError) in
        try self.assign(element, to: loop.target, line: line)
        if let loopVariable = self.loopVariable { pass[loopVariable] = .loop(number) }
        return try self.run(loop.body)
      }
      if case .leaveLoop = flow { break }
      if case .next = flow { hasWholePass = true }
    }
    if !hasWholePass {
      _ = try inside(TemplateScope(inside: scope)) { (self) throws(ChatTemplateError) in
        try self.run(loop.otherwise)
      }
    }
  }

  /// Runs a recursive loop for other elements, and returns what it writes.
  mutating func recur(
    _ number: Int, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let state = loops[number]
    guard state.loop.isRecursive else {
      throw .evaluation(line: call.line, problem: "a loop is called that is not recursive")
    }
    let argument = try call.bound(["iterable"], required: 1)
    let elements = try self.elements(of: argument[0] ?? .none, line: call.line)
    return .text(
      try captured { (self) throws(ChatTemplateError) in
        try self.inside(state.scope) { (self) throws(ChatTemplateError) in
          try self.run(state.loop, over: elements, depth: state.depth + 1, line: state.line)
        }
      })
  }

  // MARK: - Elements

  private mutating func nextElement(_ number: Int) throws(ChatTemplateError) -> TemplateValue? {
    let next: TemplateValue?
    if let ahead = loops[number].ahead {
      next = ahead
      loops[number].ahead = nil
    } else {
      next = try pull(number)
    }
    guard let next else { return nil }
    loops[number].previous = loops[number].current
    loops[number].current = next
    loops[number].index += 1
    return next
  }

  /// Takes the next element that fulfils the condition.
  private mutating func pull(_ number: Int) throws(ChatTemplateError) -> TemplateValue? {
    while loops[number].position < loops[number].elements.count {
      let element = loops[number].elements[loops[number].position]
      loops[number].position += 1
      let state = loops[number]
      guard !state.isFiltered, let filter = state.loop.filter else { return element }
      let passes = try inside(TemplateScope(inside: state.scope)) {
        (self) throws(ChatTemplateError) in
        try self.assign(element, to: state.loop.target, line: state.line)
        return try self.evaluate(filter).isTrue
      }
      if passes { return element }
    }
    return nil
  }

  /// The element after the current one.
  private mutating func peek(_ number: Int) throws(ChatTemplateError) -> TemplateValue? {
    if loops[number].ahead == nil { loops[number].ahead = try pull(number) }
    return loops[number].ahead
  }

  /// The number of elements of the whole loop.
  private mutating func count(_ number: Int) throws(ChatTemplateError) -> Int {
    loops[number].isReadAhead = true
    if let count = loops[number].count { return count }
    var rest: [TemplateValue] = []
    while let element = try pull(number) { rest.append(element) }
    let count = loops[number].index + 1 + (loops[number].ahead == nil ? 0 : 1) + rest.count
    loops[number].elements = rest
    loops[number].position = 0
    loops[number].isFiltered = true
    loops[number].count = count
    return count
  }

  // MARK: - The variable loop

  /// A part of the variable `loop`.
  mutating func loopPart(
    _ name: String, of number: Int
  ) throws(ChatTemplateError) -> TemplateValue {
    let state = loops[number]
    switch name {
    case "index": return .int(state.index + 1)
    case "index0": return .int(state.index)
    case "first": return .bool(state.index == 0)
    case "last": return .bool(try peek(number) == nil)
    case "length": return .int(try count(number))
    case "revindex": return .int(try count(number) - state.index)
    case "revindex0": return .int(try count(number) - state.index - 1)
    case "depth": return .int(state.depth + 1)
    case "depth0": return .int(state.depth)
    case "previtem": return state.previous ?? .undefined(name: "there is no previous item")
    case "nextitem": return try peek(number) ?? .undefined(name: "there is no next item")
    case "cycle", "changed": return .method(name, of: .loop(number))
    default: return .undefined(name: name)
    }
  }

  /// `loop.cycle(a, b)` or `loop.changed(a)`.
  mutating func callLoopMethod(
    _ name: String, of number: Int, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    if name == "cycle" {
      guard !call.positional.isEmpty else {
        throw .evaluation(line: call.line, problem: "\(call.callee) has nothing to choose from")
      }
      return call.positional[loops[number].index % call.positional.count]
    }
    let values = TemplateValue.list(try list(call.positional, kind: .tuple, line: call.line))
    if let before = loops[number].changing, try areEqual(before, values, line: call.line) {
      return .bool(false)
    }
    loops[number].changing = values
    return .bool(true)
  }
}
