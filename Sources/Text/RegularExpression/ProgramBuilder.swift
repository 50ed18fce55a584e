/// Builds the states of a program from the end of an expression to its start.
///
/// A repetition whose body can be empty would lead from a state to itself without taking a scalar.
/// Oniguruma leaves the repetition when its body has taken nothing. So such a body is built twice:
/// once for while nothing is taken yet, in which its end leads out of the repetition, and once for
/// after, in which its end leads to the next turn.
struct ProgramBuilder {
  private(set) var states: [Program.State] = []
  private(set) var sets: [ScalarSet] = []
  private(set) var conditions: [Program.Condition] = []
  private var indexOfSet: [ScalarSet: Int] = [:]
  private var indexOfCondition: [Program.Condition: Int] = [:]
  private var nodeCount = 0

  /// The largest number of states.
  static let stateLimit = 8192
  /// The largest number of nodes, those in repetitions counted each time.
  private static let nodeLimit = 16 * stateLimit

  /// Adds the states of `node` with a match at its end; returns the first one.
  mutating func build(_ node: RegularExpressionNode) throws(RegularExpressionError) -> Int {
    try add(node, next: add(.match))
  }

  private mutating func add(_ state: Program.State) throws(RegularExpressionError) -> Int {
    guard states.count < Self.stateLimit else { throw Self.tooLarge }
    states.append(state)
    return states.count - 1
  }

  static var tooLarge: RegularExpressionError {
    .unsupported("repetitions and branches of more than \(stateLimit) states in all")
  }

  private mutating func countNode() throws(RegularExpressionError) {
    nodeCount += 1
    if nodeCount > Self.nodeLimit { throw Self.tooLarge }
  }

  /// Adds `node`, after which comes `next`; returns its first state.
  private mutating func add(
    _ node: RegularExpressionNode, next: Int
  ) throws(RegularExpressionError) -> Int {
    try countNode()
    switch node {
    case .set(let set): return try add(.scalar(set: index(of: set), next: next))
    case .sequence(let parts):
      var next = next
      for part in parts.reversed() { next = try add(part, next: next) }
      return next
    case .alternation(let branches):
      var entries: [Int] = []
      for branch in branches { entries.append(try add(branch, next: next)) }
      return try choice(of: entries)
    case .repetition(let body, let minimum, let maximum, let isLazy):
      var entry = try addOptional(body, maximum.map { $0 - minimum }, isLazy, next: next)
      for _ in 0..<minimum { entry = try add(body, next: entry) }
      return entry
    case .lookAhead(let body, let isNegated):
      return try add(.lookAhead(start: build(body), isNegated: isNegated, next: next))
    case .lookBehind(let set, let orStart, let isNegated):
      let condition = Program.Condition(set: set, isTrueAtStart: orStart)
      return try add(
        .lookBehind(condition: index(of: condition), isNegated: isNegated, next: next))
    case .end: return try add(.end(next: next))
    }
  }

  /// Adds `body` up to `count` times, or any number of times if nil.
  private mutating func addOptional(
    _ body: RegularExpressionNode, _ count: Int?, _ isLazy: Bool, next: Int
  ) throws(RegularExpressionError) -> Int {
    guard let count else { return try addLoop(body, isLazy, next: next) }
    var entry = next
    for _ in 0..<count {
      entry = try turn(add(body, next: entry), next, isLazy)
    }
    return entry
  }

  /// Adds `body` any number of times.
  private mutating func addLoop(
    _ body: RegularExpressionNode, _ isLazy: Bool, next: Int
  ) throws(RegularExpressionError) -> Int {
    let head = try add(.match)
    let entry =
      body.isNullable
      ? try add(body, ifEmpty: next, ifTaken: head) : try add(body, next: head)
    states[head] = choice(entry, next, isLazy)
    return head
  }

  /// Adds `node`, which is followed by `ifEmpty` when it takes nothing and by `ifTaken` otherwise.
  private mutating func add(
    _ node: RegularExpressionNode, ifEmpty: Int, ifTaken: Int
  ) throws(RegularExpressionError) -> Int {
    guard node.isNullable else { return try add(node, next: ifTaken) }
    try countNode()
    switch node {
    case .set: return try add(node, next: ifTaken)
    case .sequence(let parts): return try add(parts, ifEmpty: ifEmpty, ifTaken: ifTaken)
    case .alternation(let branches):
      var entries: [Int] = []
      for branch in branches {
        entries.append(try add(branch, ifEmpty: ifEmpty, ifTaken: ifTaken))
      }
      return try choice(of: entries)
    case .repetition(let body, let minimum, let maximum, let isLazy):
      // The parser refuses other counts here.
      if minimum > 0 {
        let rest = RegularExpressionNode.repetition(
          body, minimum: 0, maximum: maximum.map { $0 - minimum }, isLazy: isLazy)
        return try add([body, rest], ifEmpty: ifEmpty, ifTaken: ifTaken)
      }
      if maximum == 0 { return ifEmpty }
      let turnTaken = maximum == nil ? try addLoop(body, isLazy, next: ifTaken) : ifTaken
      return try turn(add(body, ifEmpty: ifEmpty, ifTaken: turnTaken), ifEmpty, isLazy)
    case .lookAhead, .lookBehind, .end: return try add(node, next: ifEmpty)
    }
  }

  private mutating func add(
    _ parts: [RegularExpressionNode], ifEmpty: Int, ifTaken: Int
  ) throws(RegularExpressionError) -> Int {
    var (empty, taken) = (ifEmpty, ifTaken)
    for (index, part) in parts.enumerated().reversed() {
      empty = try add(part, ifEmpty: empty, ifTaken: taken)
      if index > 0 { taken = try add(part, next: taken) }
    }
    return empty
  }

  // MARK: - Choices

  /// The choice between one more turn of a repetition and what comes after it.
  private func choice(_ body: Int, _ after: Int, _ isLazy: Bool) -> Program.State {
    isLazy ? .choice(first: after, second: body) : .choice(first: body, second: after)
  }

  private mutating func turn(
    _ body: Int, _ after: Int, _ isLazy: Bool
  ) throws(RegularExpressionError) -> Int {
    try add(choice(body, after, isLazy))
  }

  private mutating func choice(of entries: [Int]) throws(RegularExpressionError) -> Int {
    guard var result = entries.last else { return try add(.scalar(set: index(of: .none), next: 0)) }
    for entry in entries.dropLast().reversed() {
      result = try add(.choice(first: entry, second: result))
    }
    return result
  }

  // MARK: - Sets

  private mutating func index(of set: ScalarSet) -> Int {
    if let index = indexOfSet[set] { return index }
    indexOfSet[set] = sets.count
    sets.append(set)
    return sets.count - 1
  }

  private mutating func index(of condition: Program.Condition) -> Int {
    if let index = indexOfCondition[condition] { return index }
    indexOfCondition[condition] = conditions.count
    conditions.append(condition)
    return conditions.count - 1
  }
}
