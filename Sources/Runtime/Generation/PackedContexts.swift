/// Contexts with their continuations, laid out as the rows of one batch.
///
/// First come the tokens whose logits are not needed: all contexts without their last tokens. Then, for
/// each context, its last token and its continuations. So the rows whose logits are needed are the last
/// ones:
///
///     contexts A = a b c, B = d e; continuations of A: p q r and s t, of B: u v and w
///     rows      a b | d | c p q | s | e u
///     position  0 1 | 0 | 2 3 4 | 3 | 1 2
///
/// The first token of a continuation is predicted by the row of the last token of its context; the last
/// token of a continuation has no row.
struct PackedContexts {
  /// A token whose likelihood is wanted.
  struct Target: Equatable {
    /// The row whose logits predict it, counted from `firstScoredRow`.
    let row: Int
    let token: Int
    /// The continuation that it belongs to, counted over all contexts.
    let continuation: Int
  }

  private(set) var tokens: [Int] = []
  /// One sequence for each context, with its continuations.
  private(set) var sequences: [PackedSequence] = []
  /// The first row whose logits are needed.
  let firstScoredRow: Int
  /// The tokens whose likelihoods are wanted, in the order of their rows.
  private(set) var targets: [Target] = []
  private(set) var continuationCount = 0

  init(_ contexts: [SharedContext]) {
    firstScoredRow = contexts.reduce(0) { $0 + $1.context.count - 1 }
    var prefixStart = 0
    var scoredStart = firstScoredRow
    var scoredTokens: [Int] = []
    for context in contexts {
      let length = context.context.count - 1
      sequences.append(PackedSequence(runs: []))
      tokens += context.context.dropLast()
      appendRun(&prefixStart, length, position: 0)
      scoredTokens.append(context.context[length])
      let lastRow = scoredStart
      appendRun(&scoredStart, 1, position: length)
      for continuation in context.continuations {
        let branch = continuation.dropLast()
        if let first = continuation.first { appendTarget(lastRow, first) }
        for (index, token) in continuation.dropFirst().enumerated() {
          appendTarget(scoredStart + index, token)
        }
        scoredTokens += branch
        appendRun(&scoredStart, branch.count, position: length + 1)
        continuationCount += 1
      }
    }
    tokens += scoredTokens
    targets.sort { $0.row < $1.row }
  }

  private mutating func appendRun(_ start: inout Int, _ count: Int, position: Int) {
    guard count > 0, var sequence = sequences.popLast() else { return }
    let rows = start..<start + count
    start += count
    // The first continuation goes on where its context ends.
    if let last = sequence.runs.last, last.rows.upperBound == rows.lowerBound,
      last.position + last.rows.count == position
    {
      sequence.runs[sequence.runs.count - 1] = TokenRun(
        rows: last.rows.lowerBound..<rows.upperBound, position: last.position)
    } else {
      sequence.runs.append(TokenRun(rows: rows, position: position))
    }
    sequences.append(sequence)
  }

  private mutating func appendTarget(_ row: Int, _ token: Int) {
    targets.append(
      Target(row: row - firstScoredRow, token: token, continuation: continuationCount))
  }
}
