package import DuetRuntime
package import DuetText

/// The action when the context is full.
package enum FullContextPolicy: String, CaseIterable, Sendable {
  /// End the answer.
  case stop
  /// Drop the oldest turns, but not the system's message, and continue.
  case dropOldest = "drop-oldest"
}

/// An event during the generation of an answer.
package enum AnswerEvent: Equatable, Sendable {
  /// The conversation as tokens, before the answer begins.
  case prompt([Int])
  /// The number of tokens that are evaluated so far, and of all that have to be.
  case evaluated(Int, of: Int)
  /// Turns were dropped because the context was full.
  case dropped(turns: Int, tokens: Int)
  /// The next token of the answer.
  case token(Int)
}

/// A generator of answers that reuses the tokens evaluated for earlier answers.
///
/// Each answer starts from the tokens of the whole conversation. Tokens that are already evaluated are
/// reused up to the first difference; only the rest is evaluated. Therefore a conversation may be
/// edited, shortened or replaced between two answers.
package struct Responder<Engine: TextEngine & ~Copyable>: ~Copyable {
  /// The model's state.
  package private(set) var engine: Engine
  /// The evaluated tokens; their number is the engine's position.
  package private(set) var evaluated: [Int] = []

  private var maximumCount: Int
  private let policy: FullContextPolicy
  private let isStop: (Int) -> Bool
  private let encode: ([ChatMessage]) throws -> [Int]
  private let now: () -> Double
  /// Where the next prompt is saved when it is evaluated.
  private var promptPath: String?

  /// The number of tokens evaluated between two progress events: a batch of the session.
  private static var chunk: Int { 512 }

  /// Makes a responder.
  ///
  /// - Parameters:
  ///   - engine: The model's state, without evaluated tokens.
  ///   - maximumCount: The largest number of tokens of an answer.
  ///   - policy: The action when the context is full.
  ///   - isStop: Whether a token ends an answer.
  ///   - encode: The tokens of a conversation, up to the beginning of the answer.
  ///   - now: The time in seconds.
  package init(
    _ engine: consuming Engine, maximumCount: Int, policy: FullContextPolicy,
    isStop: @escaping (Int) -> Bool, encode: @escaping ([ChatMessage]) throws -> [Int],
    now: @escaping () -> Double
  ) {
    self.engine = engine
    self.maximumCount = maximumCount
    self.policy = policy
    self.isStop = isStop
    self.encode = encode
    self.now = now
  }

  /// Answers the last message of a conversation.
  ///
  /// - Parameters:
  ///   - conversation: The conversation; turns that the model sees may be dropped.
  ///   - isCancelled: Whether to stop; called between tokens and while tokens are evaluated.
  ///   - handle: Called for each event, in order.
  /// - Returns: The answer's tokens and statistics. A cancelled answer has all tokens that were given
  ///   to `handle`.
  /// - Throws: `ChatError` when the conversation does not fit, `GenerationError`, and errors of
  ///   `encode` and `handle`. After an error `evaluated` still agrees with the engine.
  package mutating func answer(
    _ conversation: inout Conversation, isCancelled: () -> Bool,
    _ handle: (AnswerEvent) throws -> Void
  ) throws -> Answer {
    var answer = Answer()
    answer.contextLength = engine.contextLength
    do {
      let prompt = try fit(&conversation, following: 0, &answer, handle)
      try handle(.prompt(prompt))
      answer.promptCount = prompt.count
      let start = now()
      defer { answer.promptSeconds = now() - start }
      answer.evaluatedCount = try evaluate(prompt, isCancelled, handle)
      if let path = promptPath {
        try save(to: path, note: [])
        promptPath = nil
      }
    } catch GenerationError.cancelled {
      answer.stop = .interrupted
      answer.contextUsed = engine.position
      return answer
    }
    let start = now()
    do {
      answer.stop = try generate(&answer, &conversation, isCancelled, handle)
    } catch GenerationError.cancelled {
      answer.stop = .interrupted
    }
    answer.answerSeconds = now() - start
    answer.contextUsed = engine.position
    return answer
  }

  /// Saves the evaluated tokens, with what the model computed for them and a note, to a file.
  ///
  /// - Throws: `SessionFileError`.
  package borrowing func save(to path: String, note: [UInt8]) throws(SessionFileError) {
    try engine.save(to: path, tokens: evaluated, note: note)
  }

  /// Takes the evaluated tokens of a file, of which the next answer reuses those that its conversation begins with.
  ///
  /// - Throws: `SessionFileError`.
  package mutating func restore(_ file: SessionFile) throws(SessionFileError) {
    try engine.restore(file)
    evaluated = file.tokens
  }

  /// Answers by other settings from now on; the random choices begin anew with the seed.
  package mutating func use(_ settings: AnswerSettings) {
    engine.use(settings.sampling)
    maximumCount = settings.maximumCount
  }

  /// Saves the next prompt to a file as soon as it is evaluated.
  package mutating func savePrompt(to path: String) { promptPath = path }

  /// Generates tokens until a reason to stop.
  private mutating func generate(
    _ answer: inout Answer, _ conversation: inout Conversation, _ isCancelled: () -> Bool,
    _ handle: (AnswerEvent) throws -> Void
  ) throws -> StopReason {
    while true {
      if isCancelled() { return .interrupted }
      let token = try engine.nextToken(history: evaluated)
      if isStop(token) { return .endOfText }
      answer.tokens.append(token)
      try handle(.token(token))
      if answer.tokens.count >= maximumCount { return .maximum }
      if engine.position < engine.contextLength {
        try append([token], isCancelled)
        continue
      }
      guard policy == .dropOldest, conversation.canDrop else { return .contextFull }
      let prompt: [Int]
      do {
        prompt = try fit(&conversation, following: answer.tokens.count, &answer, handle)
      } catch ChatError.tooLong {
        return .contextFull
      }
      _ = try evaluate(prompt + answer.tokens, isCancelled, handle)
    }
  }

  /// Drops turns, if the policy allows it, until the context has room, and encodes the rest.
  ///
  /// - Returns: The tokens of the conversation, which fit in the context together with the `count`
  ///   tokens of the answer so far; after dropping usually with room for more.
  private func fit(
    _ conversation: inout Conversation, following count: Int, _ answer: inout Answer,
    _ handle: (AnswerEvent) throws -> Void
  ) throws -> [Int] {
    var prompt = try encode(conversation.visibleMessages)
    guard !prompt.isEmpty else { throw ChatError.nothingToContinue }
    let before = prompt.count
    var turns = 0
    if policy == .dropOldest {
      // Room for a quarter of the context, so that turns are not dropped at every token.
      let room = min(maximumCount - count, max(1, engine.contextLength / 4))
      while prompt.count + count + room > engine.contextLength, conversation.dropOldestTurn() {
        turns += 1
        prompt = try encode(conversation.visibleMessages)
      }
    }
    guard prompt.count + count <= engine.contextLength else {
      throw ChatError.tooLong(
        tokens: prompt.count + count, contextLength: engine.contextLength,
        hasOlderTurns: conversation.canDrop)
    }
    if turns > 0 {
      answer.droppedCount += before - prompt.count
      try handle(.dropped(turns: turns, tokens: before - prompt.count))
    }
    return prompt
  }

  /// Makes `tokens` the evaluated tokens of the engine; at least the last one is evaluated anew.
  ///
  /// - Returns: The number of tokens that were evaluated.
  private mutating func evaluate(
    _ tokens: [Int], _ isCancelled: () -> Bool, _ handle: (AnswerEvent) throws -> Void
  ) throws -> Int {
    var common = 0
    while common < min(evaluated.count, tokens.count - 1), evaluated[common] == tokens[common] {
      common += 1
    }
    engine.truncate(to: common)
    evaluated.removeLast(evaluated.count - common)
    let total = tokens.count - common
    while evaluated.count < tokens.count {
      let end = min(evaluated.count + Self.chunk, tokens.count)
      try append(Array(tokens[evaluated.count..<end]), isCancelled)
      try handle(.evaluated(evaluated.count - common, of: total))
    }
    return total
  }

  private mutating func append(_ tokens: [Int], _ isCancelled: () -> Bool) throws {
    let before = engine.position
    // Also after cancellation: the engine's position tells how many tokens were evaluated.
    defer { evaluated += tokens.prefix(engine.position - before) }
    try engine.append(tokens, isCancelled: isCancelled)
  }
}

extension Conversation {
  /// Whether `dropOldestTurn` can drop a turn.
  fileprivate var canDrop: Bool {
    var copy = self
    return copy.dropOldestTurn()
  }
}
