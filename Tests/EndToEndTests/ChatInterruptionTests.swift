import DuetRuntime
import DuetText
import TestSupport
import Testing
import chat

/// A session that always takes the likeliest token, its logits readable.
struct GreedySession: ~Copyable, TextEngine {
  var session: Session

  var position: Int { session.position }
  var contextLength: Int { session.contextLength }

  mutating func append(_ tokens: [Int], isCancelled: () -> Bool) throws(GenerationError) {
    try session.append(tokens, isCancelled: isCancelled)
  }

  borrowing func save(
    to path: String, tokens: [Int], note: [UInt8]
  ) throws(SessionFileError) {
    try session.save(to: path, tokens: tokens, note: note)
  }

  mutating func restore(_ file: SessionFile) throws(SessionFileError) {
    try session.restore(file)
  }

  mutating func use(_ sampling: SamplingOptions) {}

  mutating func truncate(to position: Int) { session.truncate(to: position) }

  mutating func nextToken(history: [Int]) throws(GenerationError) -> Int {
    var best = 0
    for id in 0..<session.logits.count where session.logits[id] > session.logits[best] { best = id }
    return best
  }
}

@Suite("Interrupted answers")
struct ChatInterruptionTests {
  /// Interrupts at random moments of a conversation with a real model; afterwards the session must
  /// be as if the evaluated tokens had been evaluated at once.
  ///
  /// The bound is the project's own for the logits of a prefill against those of single steps, 1e-4,
  /// with an F32 cache so that no rounding of the cache comes between.
  @Test("the session stands as if nothing had been interrupted")
  func interruptionsLeaveTheSessionConsistent() throws {
    let folder = SharedData.project("models/stories")
    let model = try Model(contentsOf: folder)
    let tokenizer = try Tokenizer(contentsOf: folder)
    let stops = StopTokens(
      configuration: model.configuration.endOfSequence,
      generation: try GenerationConfiguration(folder: folder), tokenizer: tokenizer)
    let format = ChatFormat(
      template: try ChatTemplate.load(folder: folder, tokenizer: tokenizer, stopTokens: stops),
      tokenizer: tokenizer)
    let options = SessionOptions(contextLength: 256, threadCount: 2, cacheType: .f32, batchSize: 16)
    var responder = Responder(
      GreedySession(session: try Session(model, options: options)), maximumCount: 30,
      policy: .dropOldest, isStop: stops.contains, encode: format.tokens, now: { 0 })
    var generator = RandomGenerator(seed: 11)
    var conversation = Conversation(system: "Be kind.")
    var interruptions = 0
    for turn in 0..<40 {
      conversation.append(.user, "Tell me story number \(turn), please.")
      // The model has six layers, so one token asks seven times.
      var patience = Int.random(in: 0...150, using: &generator)
      let answer = try responder.answer(
        &conversation,
        isCancelled: {
          patience -= 1
          return patience < 0
        }, { _ in })
      interruptions += answer.stop == .interrupted ? 1 : 0
      if answer.tokens.isEmpty {
        conversation.withdraw(.user)
      } else {
        conversation.append(.assistant, tokenizer.decode(answer.tokens))
      }
      #expect(responder.evaluated.count == responder.engine.position)

      if responder.evaluated.isEmpty { continue }
      // One more message, since an interruption leaves older logits.
      var probe = conversation
      probe.append(.user, "x")
      // Stopped as soon as the prompt is evaluated, so that both stand at its end.
      var isDone = false
      _ = try responder.answer(&probe, isCancelled: { isDone }) { event in
        if case .evaluated(let done, let total) = event { isDone = done == total }
      }
      var fresh = try Session(model, options: options)
      try fresh.append(responder.evaluated)
      let difference = responder.engine.difference(from: fresh.logits)
      #expect(difference < 1e-4, "turn \(turn): logits differ by \(difference)")
    }
    #expect(interruptions > 10)
  }

  /// A thousand answers that are interrupted at random moments, in a model of two layers: between two
  /// layers of a token of the prompt or of the answer.
  ///
  /// With batches of one token all that stands was computed by the same operations as from scratch, so the
  /// logits are the same to the last bit. Larger batches are cut elsewhere from scratch than they were,
  /// and their sums are rounded in another order: the bound is again that of a prefill against steps.
  @Test(
    "a thousand interruptions between layers leave the same logits",
    arguments: [(1, 0), (7, 1e-4)] as [(batchSize: Int, bound: Float)])
  func aThousandInterruptions(batchSize: Int, bound: Float) throws {
    let tokenizer = try TokenizerFixture.tokenizer(TokenizerFixture.sentencePiece())
    let configuration = Configuration(
      hiddenSize: 32, intermediateSize: 48, layerCount: 2, headCount: 4, keyValueHeadCount: 2,
      vocabularySize: 268, contextLength: 256)
    let model = try Model(TinyCheckpoint(configuration, seed: 21).inMemory())
    let options = SessionOptions(
      contextLength: 128, threadCount: 1, cacheType: batchSize == 1 ? .f16 : .f32,
      batchSize: batchSize)
    var responder = Responder(
      GreedySession(session: try Session(model, options: options)), maximumCount: 20,
      policy: .dropOldest, isStop: { $0 == 2 },
      encode: ChatFormat(template: nil, tokenizer: tokenizer).tokens, now: { 0 })
    var generator = RandomGenerator(seed: 12)
    var conversation = Conversation()
    var (inPrompt, inAnswer, differences) = (0, 0, 0)
    while inPrompt + inAnswer < 1000 {
      let length = Int.random(in: 1...40, using: &generator)
      conversation.append(
        .user,
        String(
          (0..<length).map { _ in ["a", "b", "c", " "].randomElement(using: &generator) ?? "a" }))
      var patience = Int.random(in: 0...80, using: &generator)
      let answer = try responder.answer(
        &conversation,
        isCancelled: {
          patience -= 1
          return patience < 0
        }, { _ in })
      if answer.stop == .interrupted {
        if answer.tokens.isEmpty { inPrompt += 1 } else { inAnswer += 1 }
      }
      if answer.tokens.isEmpty {
        conversation.withdraw(.user)
      } else {
        conversation.append(.assistant, tokenizer.decode(answer.tokens))
      }
      #expect(responder.evaluated.count == responder.engine.position)
      if answer.stop != .interrupted { continue }

      var probe = conversation
      probe.append(.user, "a")
      var isDone = false
      var prompt: [Int] = []
      _ = try responder.answer(&probe, isCancelled: { isDone }) { event in
        if case .prompt(let tokens) = event { prompt = tokens }
        if case .evaluated(let done, let total) = event { isDone = done == total }
      }
      #expect(responder.evaluated == prompt)
      var fresh = try Session(model, options: options)
      try fresh.append(responder.evaluated)
      if !(responder.engine.difference(from: fresh.logits) <= bound) { differences += 1 }
    }
    #expect(differences == 0, "of \(inPrompt) interruptions of prompts and \(inAnswer) of answers")
    #expect(inPrompt > 100 && inAnswer > 100)
  }
}

extension GreedySession {
  /// The largest difference of a logit.
  fileprivate borrowing func difference(from other: Span<Float>) -> Float {
    var largest: Float = 0
    for id in other.indices { largest = max(largest, abs(session.logits[id] - other[id])) }
    return largest
  }
}
