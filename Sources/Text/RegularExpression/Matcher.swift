/// What it takes to find the matches of one program in one text after the other.
///
/// Used by one thread at a time; see `RegularExpression.borrowMatcher()`.
package final class Matcher: @unchecked Sendable {
  private let program: Program
  private var scan: Scan

  init(_ program: Program) {
    self.program = program
    scan = Scan(program)
  }

  /// Calls `body` with each match in `text[range]`, in order.
  ///
  /// The part is searched as if it were the whole text. After an empty match directly behind the
  /// one before it, the search goes on at the next scalar.
  ///
  /// - Parameters:
  ///   - text: Valid UTF-8.
  ///   - range: A part of it that starts and ends between scalars.
  ///   - body: Called with the position of each match.
  /// - Complexity: O(length of the part). For expressions with very many states, O(length *
  ///   states).
  package func forEachMatch(in text: [UInt8], _ range: Range<Int>, _ body: (Range<Int>) -> Void) {
    if let accepted = program.acceptedClasses {
      program.forEachScalar(of: accepted, in: text, range, body)
    } else {
      scan.forEachMatch(of: program, in: text, range, body)
    }
  }
}

extension Program {
  /// Calls `body` with each scalar of the given classes.
  fileprivate func forEachScalar(
    of accepted: [Bool], in text: [UInt8], _ range: Range<Int>, _ body: (Range<Int>) -> Void
  ) {
    var position = range.lowerBound
    while position < range.upperBound {
      let end = min(position + scalarLength(text[position]), range.upperBound)
      if accepted[classifier.scalar(in: text, endingAt: end).class] { body(position..<end) }
      position = end
    }
  }
}

/// The nodes of a `ViabilityAutomaton` along one block of a text.
///
/// Texts of more than one block are read backwards twice: once to note the viable states at the
/// start of each block, and then each block again, from the first one on, when the search comes to
/// it. So the memory is that of one block, plus a few bytes for each other one.
private struct Scan {
  private var automaton: ViabilityAutomaton
  /// Per byte of the block, and at its end: the node, where a scalar starts.
  private var nodes: [Int32] = []
  /// The part of the text that `nodes` belongs to.
  private var block = 0..<0
  /// The starts of the blocks, and the end of the text.
  private var borders: [Int] = []
  /// Per start of a block but the first: the viable states.
  private var states: [[UInt64]] = []
  private var blockIndex = 0

  init(_ program: Program) { automaton = ViabilityAutomaton(program) }

  mutating func forEachMatch(
    of program: Program, in text: [UInt8], _ range: Range<Int>, _ body: (Range<Int>) -> Void
  ) {
    begin(program, text, range)
    let states = program.states
    var from = range.lowerBound
    var lastEnd: Int?
    while true {
      var start = from
      while !automaton.canStart[Int(node(at: start, program, text, range))] {
        guard start < range.upperBound else { return }
        start += scalarLength(text[start])
      }
      var end = start
      var state = program.start
      walk: while true {
        let node = node(at: end, program, text, range)
        while true {
          switch states[state] {
          case .choice(let first, let second):
            state = automaton.isViable(first, at: node) ? first : second
          case .lookAhead(_, _, let next), .lookBehind(_, _, let next), .end(let next):
            state = next
          case .scalar(_, let next):
            state = next
            end += scalarLength(text[end])
            continue walk
          case .match: break walk
          }
        }
      }
      from = end
      if end == start, lastEnd == end {
        guard end < range.upperBound else { return }
        from += scalarLength(text[end])
      } else {
        body(start..<end)
        lastEnd = end
      }
    }
  }

  /// The node at `position`, to which blocks are read on.
  @inline(__always)
  private mutating func node(
    at position: Int, _ program: Program, _ text: [UInt8], _ range: Range<Int>
  ) -> Int32 {
    if position >= block.upperBound, position < range.upperBound {
      blockIndex += 1
      readBlock(program, text, range)
    }
    return nodes[position - block.lowerBound]
  }

  /// Reads the text backwards as far as the first block.
  private mutating func begin(_ program: Program, _ text: [UInt8], _ range: Range<Int>) {
    borders.removeAll(keepingCapacity: true)
    states.removeAll(keepingCapacity: true)
    var border = range.lowerBound
    while border < range.upperBound {
      borders.append(border)
      border = min(border + automaton.blockLength, range.upperBound)
      while border < range.upperBound, text[border] & 0xC0 == 0x80 { border += 1 }
    }
    if borders.isEmpty { borders.append(range.lowerBound) }
    borders.append(range.upperBound)
    blockIndex = borders.count - 2
    if blockIndex > 0 { states = Array(repeating: [], count: borders.count) }
    while blockIndex > 0 {
      readBlock(program, text, range)
      states[blockIndex] = automaton.states(of: nodes[0])
      blockIndex -= 1
    }
    readBlock(program, text, range)
  }

  /// Reads the block with the index `blockIndex` backwards.
  private mutating func readBlock(_ program: Program, _ text: [UInt8], _ range: Range<Int>) {
    automaton.trim()
    block = borders[blockIndex]..<borders[blockIndex + 1]
    if nodes.count <= block.count {
      nodes.append(contentsOf: repeatElement(0, count: block.count + 1 - nodes.count))
    }
    var position = block.upperBound
    var node: Int32
    if position == range.upperBound {
      node = automaton.end(context: context(before: position, program, text, range), program)
    } else {
      node = automaton.node(of: states[blockIndex + 1], program)
    }
    nodes[block.count] = node
    let hasContexts = program.truths.count > 1
    while position > block.lowerBound {
      let scalar = program.classifier.scalar(in: text, endingAt: position)
      position = scalar.start
      let context = hasContexts ? context(before: position, program, text, range) : 0
      node = automaton.step(from: node, over: scalar.class, context: context, program)
      nodes[position - block.lowerBound] = node
    }
  }

  private func context(
    before position: Int, _ program: Program, _ text: [UInt8], _ range: Range<Int>
  ) -> Int {
    guard program.truths.count > 1 else { return 0 }
    guard position > range.lowerBound else { return program.contexts[program.classifier.count] }
    return program.contexts[program.classifier.scalar(in: text, endingAt: position).class]
  }
}
