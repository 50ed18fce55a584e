/// A sequence of tokens and several that may follow it, whose likelihoods are wanted.
package struct SharedContext: Sendable, Equatable {
  /// What stands before, at least one token.
  package let context: [Int]
  /// What may follow; each is scored as if there were no other.
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

  /// The tokens that a model has to evaluate: the context once, and each continuation but its last
  /// token, behind which nothing is predicted.
  package var evaluatedCount: Int {
    continuations.reduce(context.count) { $0 + Self.branchLength($1) }
  }

  /// The tokens of the longest sequence that a model has to evaluate.
  package var longestSequence: Int {
    context.count + (continuations.map(Self.branchLength).max() ?? 0)
  }

  /// The evaluated tokens of a continuation.
  static func branchLength(_ continuation: [Int]) -> Int { max(0, continuation.count - 1) }

  /// Parts of the continuations with at most `limit` evaluated tokens each, where one alone has not
  /// more; the context is repeated in each part.
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
