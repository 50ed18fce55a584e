import DuetRuntime
package import DuetText

/// What to do when the context is full.
package enum FullContextPolicy: String, CaseIterable, Sendable {
  /// End the answer.
  case stop
  /// Drop the oldest turns after the system's and go on.
  case dropOldest = "drop-oldest"
}

/// Something that happens while an answer is made.
package enum AnswerEvent: Equatable, Sendable {
  /// The conversation as tokens, before the answer begins.
  case prompt([Int])
  /// So many of the tokens to evaluate are done.
  case evaluated(Int, of: Int)
  /// Turns were dropped to make room.
  case dropped(turns: Int, tokens: Int)
  /// The next token of the answer.
  case token(Int)
}

/// Makes answers, keeping the evaluated tokens in step with the conversation.
///
/// Each answer starts from the tokens of the whole conversation. Those that stand evaluated from
/// before are reused up to the first difference; only the rest is evaluated. So a conversation may be
/// edited, cut or replaced between two answers at will.
package struct Responder<Engine: TextEngine & ~Copyable>: ~Copyable {
  /// The model's state.
  package private(set) var engine: Engine
  /// The evaluated tokens: as many as the engine's position.
  package private(set) var evaluated: [Int] = []

  private let maximumCount: Int
  private let policy: FullContextPolicy
  private let isStop: (Int) -> Bool
  private let encode: ([ChatMessage]) throws -> [Int]
  private let now: () -> Double

  /// Tokens evaluated between two looks at the progress: a batch of the session.
  private static var chunk: Int { 512 }

  /// Makes a responder.
  ///
  /// - Parameters:
  ///   - engine: The model's state, nothing evaluated.
  ///   - maximumCount: The most tokens of an answer.
  ///   - policy: What to do when the context is full.
  ///   - isStop: Whether a token ends an answer.
  ///   - encode: The tokens of a conversation, up to where the answer begins.
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
  ///   - conversation: The conversation; turns may be dropped from what the model sees of it.
  ///   - isCancelled: Whether to stop; asked between tokens and while tokens are evaluated.
  ///   - handle: Told of everything that happens, in order.
  /// - Returns: The answer's tokens and measurements. What `handle` was given is in it even when it
  ///   was cancelled.
  /// - Throws: `ChatError` when the conversation does not fit, `GenerationError`, and what encoding
  ///   and `handle` throw. The evaluated tokens stay consistent.
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

  /// Writes tokens until one of the reasons to stop.
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

  /// The tokens of the conversation, after dropping what the policy allows until there is room for
  /// them, the `count` tokens of the answer so far, and some more.
  private func fit(
    _ conversation: inout Conversation, following count: Int, _ answer: inout Answer,
    _ handle: (AnswerEvent) throws -> Void
  ) throws -> [Int] {
    var prompt = try encode(conversation.visibleMessages)
    guard !prompt.isEmpty else { throw ChatError.nothingToContinue }
    let before = prompt.count
    var turns = 0
    if policy == .dropOldest {
      // Room for a quarter of the context, so that dropping does not come with every token.
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

  /// Brings the engine to exactly these tokens, the last one evaluated just now.
  ///
  /// - Returns: How many tokens were evaluated.
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
    // Also when cancelled half-way: what the engine counts is what stands.
    defer { evaluated += tokens.prefix(engine.position - before) }
    try engine.append(tokens, isCancelled: isCancelled)
  }
}

extension Conversation {
  /// Whether `dropOldestTurn` has something to drop.
  fileprivate var canDrop: Bool {
    var copy = self
    return copy.dropOldestTurn()
  }
}
