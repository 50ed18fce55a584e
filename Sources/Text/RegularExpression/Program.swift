/// A regular expression as the states of a machine.
///
/// A state says what the rest of the match must be. The steps from state to state that take no
/// scalar form no circle, so a state is always reached from one scalar to the next in a bounded
/// number of steps: see `ProgramBuilder`.
struct Program: Sendable {
  /// One state; the numbers are those of states.
  enum State: Sendable {
    /// One scalar of the set with the given index, then `next`.
    case scalar(set: Int, next: Int)
    /// `first` if that leads to a match, else `second`.
    case choice(first: Int, second: Int)
    /// `next`, if the text from here on starts with a match of `start`.
    case lookAhead(start: Int, isNegated: Bool, next: Int)
    /// `next`, if the condition with the given index is true of the scalar before.
    case lookBehind(condition: Int, isNegated: Bool, next: Int)
    /// `next`, if the text ends here.
    case end(next: Int)
    /// Nothing more is needed.
    case match
  }

  /// A condition on the scalar before a position.
  struct Condition: Sendable, Hashable {
    let set: ScalarSet
    /// Whether it is true at the start of the text.
    let isTrueAtStart: Bool
  }

  let states: [State]
  /// The state at which a match starts.
  let start: Int
  /// The states that take no scalar, each after those that it leads to.
  let order: [Int]
  /// The classes of scalars that the expression distinguishes.
  let classifier: ScalarClassifier
  /// Per class: the states that take a scalar of the class, with the states that follow.
  let takers: [[(state: Int, next: Int)]]
  /// Per class, and after the last one for the start of the text: what it is as the scalar before a
  /// position, as the number of a context.
  let contexts: [Int]
  /// Per context and condition: whether the condition is true.
  let truths: [[Bool]]
  /// If every match is one scalar, whatever is around it: per class, whether it is one.
  let acceptedClasses: [Bool]?

  /// The largest sum, over all classes, of the number of states that take a scalar of the class.
  private static let takerLimit = 1 << 20
  /// The largest product of the numbers of classes and contexts.
  private static let stepLimit = 1 << 16

  init(_ node: RegularExpressionNode) throws(RegularExpressionError) {
    var builder = ProgramBuilder()
    start = try builder.build(node)
    states = builder.states
    order = Self.order(of: states)
    let sets = builder.sets
    let classifier = try ScalarClassifier(sets + builder.conditions.map(\.set))
    self.classifier = classifier
    func isMember(_ set: Int, _ membership: [UInt64]) -> Bool {
      membership[set / 64] >> UInt64(set % 64) & 1 != 0
    }
    var statesOfSet = [[(state: Int, next: Int)]](repeating: [], count: sets.count)
    for (index, state) in states.enumerated() {
      if case .scalar(let set, let next) = state { statesOfSet[set].append((index, next)) }
    }
    var takers: [[(state: Int, next: Int)]] = []
    var takerCount = 0
    for membership in classifier.memberships {
      let members = sets.indices.filter { isMember($0, membership) }
      takerCount += members.reduce(0) { $0 + statesOfSet[$1].count }
      guard takerCount <= Self.takerLimit else { throw ProgramBuilder.tooLarge }
      takers.append(members.flatMap { statesOfSet[$0] })
    }
    self.takers = takers
    if case .scalar(let set, let next) = states[start], case .match = states[next] {
      acceptedClasses = classifier.memberships.map { isMember(set, $0) }
    } else {
      acceptedClasses = nil
    }
    var contexts: [Int] = []
    var truths: [[Bool]] = []
    var contextOf: [[Bool]: Int] = [:]
    func addContext(_ truth: [Bool]) throws(RegularExpressionError) {
      if let known = contextOf[truth] {
        contexts.append(known)
        return
      }
      // A node of the automaton has a step for each class and context.
      guard (truths.count + 1) * classifier.count <= Self.stepLimit else {
        throw .unsupported("look-behind at too many different characters")
      }
      contextOf[truth] = truths.count
      contexts.append(truths.count)
      truths.append(truth)
    }
    for membership in classifier.memberships {
      try addContext(builder.conditions.indices.map { isMember(sets.count + $0, membership) })
    }
    try addContext(builder.conditions.map(\.isTrueAtStart))
    self.contexts = contexts
    self.truths = truths
  }

  /// The states that take no scalar, each after those that it leads to.
  ///
  /// - Complexity: O(number of states), without recursion.
  private static func order(of states: [State]) -> [Int] {
    var result: [Int] = []
    var isDone = [Bool](repeating: false, count: states.count)
    for root in states.indices {
      var open = [root]
      while let state = open.last {
        if isDone[state] {
          open.removeLast()
          continue
        }
        let needed: [Int]
        switch states[state] {
        case .scalar: needed = []
        case .choice(let first, let second): needed = [first, second]
        case .lookAhead(let start, _, let next): needed = [start, next]
        case .lookBehind(_, _, let next), .end(let next): needed = [next]
        case .match: needed = []
        }
        let missing = needed.filter { !isDone[$0] }
        if missing.isEmpty {
          isDone[state] = true
          if case .scalar = states[state] {} else { result.append(state) }
          open.removeLast()
        } else {
          open += missing
        }
      }
    }
    return result
  }
}
