/// The machine that reads a text backwards and knows, at each position, the states of a program
/// from which there is a match.
///
/// The viable states at a position follow from those after the next scalar and the class of that
/// scalar. So a set of viable states is one state of a deterministic machine, called a node here.
/// Nodes and the steps between them are made when they are first needed and kept for later.
struct ViabilityAutomaton: Sendable {
  /// Per node: a bit for each state of the program, in `words` words.
  private var viable: [UInt64] = []
  /// Per node: whether a match can start.
  private(set) var canStart: [Bool] = []
  /// Per node, class and context: the node before, or -1 if it is not known yet.
  private var steps: [Int32] = []
  /// Per context: the node at the end of the text, or -1.
  private var ends: [Int32]
  private var nodeOf: [[UInt64]: Int32] = [:]
  private let words: Int
  private let contextCount: Int
  private let stepCount: Int

  /// How many nodes there may be before they are forgotten, and how many bytes of text may be read
  /// until the next chance to forget them.
  let blockLength: Int

  /// The memory for the nodes of one block, in bytes.
  private static let memory = 1 << 24

  init(_ program: Program) {
    words = (program.states.count + 63) / 64
    contextCount = program.truths.count
    stepCount = program.classifier.count * contextCount
    ends = Array(repeating: -1, count: contextCount)
    blockLength = max(256, min(8192, Self.memory / (16 * words + 4 * stepCount)))
  }

  /// Forgets all nodes if they have become many.
  mutating func trim() {
    guard canStart.count > blockLength else { return }
    viable.removeAll(keepingCapacity: true)
    canStart.removeAll(keepingCapacity: true)
    steps.removeAll(keepingCapacity: true)
    nodeOf.removeAll(keepingCapacity: true)
    for context in ends.indices { ends[context] = -1 }
  }

  /// Whether there is a match from `state` on at a position of the given node.
  @inline(__always)
  func isViable(_ state: Int, at node: Int32) -> Bool {
    viable[Int(node) * words + state >> 6] >> UInt64(state & 63) & 1 != 0
  }

  /// The viable states of a node, from which `node(of:)` makes it again.
  func states(of node: Int32) -> [UInt64] {
    Array(viable[Int(node) * words..<(Int(node) + 1) * words])
  }

  /// The node with the given viable states.
  mutating func node(of states: [UInt64], _ program: Program) -> Int32 {
    if let known = nodeOf[states] { return known }
    let node = Int32(canStart.count)
    nodeOf[states] = node
    viable += states
    canStart.append(states[program.start >> 6] >> UInt64(program.start & 63) & 1 != 0)
    steps.append(contentsOf: repeatElement(-1, count: stepCount))
    return node
  }

  /// The node at the end of the text, before which there is what `context` says.
  mutating func end(context: Int, _ program: Program) -> Int32 {
    if ends[context] >= 0 { return ends[context] }
    var states = [UInt64](repeating: 0, count: words)
    close(&states, context: context, isEnd: true, program)
    let node = node(of: states, program)
    ends[context] = node
    return node
  }

  /// The node before a scalar of the given class that is before `node`.
  ///
  /// What is before the scalar is given as `context`.
  @inline(__always)
  mutating func step(
    from node: Int32, over scalarClass: Int, context: Int, _ program: Program
  ) -> Int32 {
    let known = steps[Int(node) * stepCount + scalarClass * contextCount + context]
    return known >= 0 ? known : makeStep(from: node, over: scalarClass, context: context, program)
  }

  @inline(never)
  private mutating func makeStep(
    from node: Int32, over scalarClass: Int, context: Int, _ program: Program
  ) -> Int32 {
    var states = [UInt64](repeating: 0, count: words)
    for taker in program.takers[scalarClass] where isViable(taker.next, at: node) {
      states[taker.state >> 6] |= 1 << UInt64(taker.state & 63)
    }
    close(&states, context: context, isEnd: false, program)
    let result = self.node(of: states, program)
    steps[Int(node) * stepCount + scalarClass * contextCount + context] = result
    return result
  }

  /// Adds the viable states that take no scalar.
  private func close(
    _ states: inout [UInt64], context: Int, isEnd: Bool, _ program: Program
  ) {
    for state in program.order {
      func has(_ state: Int) -> Bool { states[state >> 6] >> UInt64(state & 63) & 1 != 0 }
      let isViable =
        switch program.states[state] {
        case .scalar: has(state)
        case .choice(let first, let second): has(first) || has(second)
        case .lookAhead(let start, let isNegated, let next): has(start) != isNegated && has(next)
        case .lookBehind(let condition, let isNegated, let next):
          program.truths[context][condition] != isNegated && has(next)
        case .end(let next): isEnd && has(next)
        case .match: true
        }
      if isViable { states[state >> 6] |= 1 << UInt64(state & 63) }
    }
  }
}
