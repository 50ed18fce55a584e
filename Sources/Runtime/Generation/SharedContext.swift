/// A context and several continuations whose likelihoods are wanted.
package struct SharedContext: Sendable, Equatable {
  /// The tokens of the context, at least one.
  package let context: [Int]
  /// The continuations; each is scored as if it were the only one.
  package private(set) var continuations: [[Int]]

  /// A context and its continuations.
  ///
  /// - Precondition: `context` is not empty.
  package init(context: [Int], continuations: [[Int]]) {
    precondition(!context.isEmpty, "a context of no tokens")
    self.context = context
    self.continuations = continuations
  }

  /// Adds a continuation.
  package mutating func append(_ continuation: [Int]) { continuations.append(continuation) }

  /// The number of tokens that a model has to evaluate.
  ///
  /// They are the context once, and each continuation without its last token, after which nothing is
  /// predicted.
  package var evaluatedCount: Int {
    continuations.reduce(context.count) { $0 + Self.branchLength($1) }
  }

  /// The number of tokens of the longest sequence that a model has to evaluate.
  package var longestSequence: Int {
    context.count + (continuations.map(Self.branchLength).max() ?? 0)
  }

  /// The number of evaluated tokens of a continuation.
  static func branchLength(_ continuation: [Int]) -> Int { max(0, continuation.count - 1) }

  /// Splits the continuations into parts with at most `limit` evaluated tokens each.
  ///
  /// Each part has the whole context. A part has more tokens only when it has a single continuation.
  func split(limit: Int) -> [SharedContext] {
    var parts: [SharedContext] = []
    for continuation in continuations {
      if let last = parts.last,
        last.evaluatedCount + Self.branchLength(continuation) <= limit
      {
        parts[parts.count - 1].append(continuation)
      } else {
        parts.append(SharedContext(context: context, continuations: [continuation]))
      }
    }
    return parts
  }
}
