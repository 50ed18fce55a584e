package import DuetRuntime

/// What an answer needs of a model: a sequence that grows, can be cut back, and suggests its next
/// token.
package protocol TextEngine: ~Copyable {
  /// The number of tokens evaluated.
  var position: Int { get }
  /// The most tokens that fit.
  var contextLength: Int { get }
  /// Evaluates tokens after those that stand.
  ///
  /// When cancelled, `position` tells how many of them stand.
  mutating func append(_ tokens: [Int], isCancelled: () -> Bool) throws(GenerationError)
  /// Forgets everything from a position on.
  mutating func truncate(to position: Int)
  /// Chooses the token after the last one evaluated.
  mutating func nextToken(history: [Int]) throws(GenerationError) -> Int
}

/// A session with a sampler.
package struct SessionEngine: ~Copyable, TextEngine {
  private var session: Session
  private var sampler: Sampler

  package init(_ session: consuming Session, _ sampler: Sampler) {
    self.session = session
    self.sampler = sampler
  }

  package var position: Int { session.position }
  package var contextLength: Int { session.contextLength }

  package mutating func append(
    _ tokens: [Int], isCancelled: () -> Bool
  ) throws(GenerationError) {
    try session.append(tokens, isCancelled: isCancelled)
  }

  package mutating func truncate(to position: Int) { session.truncate(to: position) }

  package mutating func nextToken(history: [Int]) throws(GenerationError) -> Int {
    try sampler.next(session.logits, history: history)
  }
}
