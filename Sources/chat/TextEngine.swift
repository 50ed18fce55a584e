package import DuetRuntime

/// A model with a sequence of evaluated tokens that can be extended, cut back and continued.
package protocol TextEngine: ~Copyable {
  /// The number of tokens evaluated.
  var position: Int { get }
  /// The largest number of tokens that fit.
  var contextLength: Int { get }
  /// Evaluates tokens after the evaluated ones.
  ///
  /// After cancellation, `position` tells how many of them were evaluated.
  mutating func append(_ tokens: [Int], isCancelled: () -> Bool) throws(GenerationError)
  /// Removes all tokens from a position on.
  mutating func truncate(to position: Int)
  /// Saves the evaluated tokens, with what the model computed for them and a note, to a file.
  borrowing func save(
    to path: String, tokens: [Int], note: [UInt8]
  ) throws(SessionFileError)
  /// Becomes what was saved.
  mutating func restore(_ file: SessionFile) throws(SessionFileError)
  /// Chooses tokens by other options from now on.
  mutating func use(_ sampling: SamplingOptions)
  /// Chooses the token after the last one evaluated.
  mutating func nextToken(history: [Int]) throws(GenerationError) -> Int
}

/// A session with a sampler.
package struct SessionEngine: ~Copyable, TextEngine {
  private var session: Session
  private var sampler: Sampler
  private let vocabularySize: Int

  /// A session that chooses among the ids below `vocabularySize`.
  package init(_ session: consuming Session, _ sampling: SamplingOptions, vocabularySize: Int) {
    self.session = session
    self.vocabularySize = vocabularySize
    sampler = Sampler(sampling, vocabularySize: vocabularySize)
  }

  package var position: Int { session.position }
  package var contextLength: Int { session.contextLength }

  package mutating func append(
    _ tokens: [Int], isCancelled: () -> Bool
  ) throws(GenerationError) {
    try session.append(tokens, isCancelled: isCancelled)
  }

  package mutating func truncate(to position: Int) { session.truncate(to: position) }

  package borrowing func save(
    to path: String, tokens: [Int], note: [UInt8]
  ) throws(SessionFileError) {
    try session.save(to: path, tokens: tokens, note: note)
  }

  package mutating func restore(_ file: SessionFile) throws(SessionFileError) {
    try session.restore(file)
  }

  package mutating func use(_ sampling: SamplingOptions) {
    sampler = Sampler(sampling, vocabularySize: vocabularySize)
  }

  package mutating func nextToken(history: [Int]) throws(GenerationError) -> Int {
    try sampler.next(session.logits, history: history)
  }
}
