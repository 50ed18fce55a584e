import DuetRuntime
import DuetText
import Foundation
import TestSupport
import Testing

/// Many contexts in one batch against one sequence at a time.
@Suite("Continuation scorer")
struct ContinuationScorerTests {
  /// Contexts of several lengths with continuations of several lengths, none and one token among them.
  private func contexts(vocabularySize: Int) -> [SharedContext] {
    func tokens(_ count: Int, _ seed: Int) -> [Int] {
      (0..<count).map { ($0 * 7 + seed * 5 + $0 * $0 * seed) % vocabularySize }
    }
    return [
      SharedContext(context: tokens(9, 1), continuations: [tokens(3, 2), tokens(1, 3), []]),
      SharedContext(context: tokens(1, 4), continuations: [tokens(5, 5), tokens(5, 6)]),
      SharedContext(context: tokens(20, 7), continuations: [tokens(1, 8), tokens(1, 9)]),
      SharedContext(context: tokens(4, 1), continuations: []),
      SharedContext(context: tokens(2, 3), continuations: [[], tokens(11, 4), tokens(2, 5)]),
    ]
  }

  private func logSoftmax(_ logits: [Double], _ token: Int) -> Double {
    let top = logits.max() ?? 0
    return logits[token] - top - log(logits.reduce(0) { $0 + exp($1 - top) })
  }

  private func likelihoods(_ scores: [[ContinuationScore]]) -> [[Double]] {
    scores.map { $0.map(\.logLikelihood) }
  }

  private func check(
    _ scores: [[ContinuationScore]], _ expected: [[Double]], within tolerance: Double,
    _ name: String
  ) {
    let values = likelihoods(scores)
    #expect(values.map(\.count) == expected.map(\.count), "\(name)")
    for (value, right) in zip(values.joined(), expected.joined()) {
      #expect(abs(value - right) < tolerance, "\(name)")
    }
  }

  @Test(
    "likelihoods equal those of the forward pass in Double",
    arguments: ModelTests.configurations.indices)
  func equalsTheForwardPassInDouble(index: Int) throws {
    let (name, configuration) = ModelTests.configurations[index]
    let checkpoint = TinyCheckpoint(configuration, seed: UInt64(index))
    let oracle = ForwardPassOracle(checkpoint: checkpoint)
    let contexts = contexts(vocabularySize: configuration.vocabularySize)
    let expected = contexts.map { context in
      context.continuations.map { continuation in
        let logits = oracle.logits(context.context + continuation)
        return continuation.enumerated().reduce(0.0) { sum, next in
          sum + logSoftmax(logits[context.context.count - 1 + next.offset], next.element)
        }
      }
    }
    let model = try Model(checkpoint.inMemory())
    // Everything in one batch, and batches so small that contexts are split over several.
    for (batchSize, threadCount) in [(512, 1), (512, 3), (21, 2)] {
      var scorer = try ContinuationScorer(
        model, longestSequence: 21,
        options: SessionOptions(threadCount: threadCount, batchSize: batchSize))
      // Logits are off by less than 1e-4, as in `ModelTests`, their normaliser by no more: eleven
      // tokens by less than 2.2e-3 if all errors had one sign. They have not; 3e-4 is seldom reached.
      check(
        try scorer.scores(contexts), expected, within: 1e-3, "\(name), \(batchSize)")
    }
  }

  @Test("a continuation is greedy when each of its tokens has the largest logit")
  func greedyContinuations() throws {
    var checkpoint = TinyCheckpoint(ModelTests.tiny())
    let oracle = ForwardPassOracle(checkpoint: checkpoint)
    let start = [3, 7, 11]
    var greedy: [Int] = []
    for _ in 0..<3 {
      let logits = try #require(oracle.logits(start + greedy).last)
      greedy.append(try #require(logits.indices.max { logits[$0] < logits[$1] }))
    }
    let changed = greedy.indices.map { index in
      greedy.enumerated().map { $0.offset == index ? ($0.element + 1) % 50 : $0.element }
    }
    let continuations = [greedy, [], Array(greedy.prefix(2))] + changed
    var scorer = try ContinuationScorer(Model(checkpoint.inMemory()), longestSequence: 8)
    let scores = try scorer.scores([SharedContext(context: start, continuations: continuations)])
    #expect(scores[0].map(\.isGreedy) == [true, true, true, false, false, false])

    // With equal logits only the lowest id is greedy.
    checkpoint.tensors["lm_head.weight"]?.values = [Float](repeating: 0, count: 50 * 24)
    var flat = try ContinuationScorer(Model(checkpoint.inMemory()), longestSequence: 8)
    let ties = try flat.scores([SharedContext(context: start, continuations: [[0], [1], [49]])])
    #expect(ties[0].map(\.isGreedy) == [true, false, false])
  }

  @Test("likelihoods equal those of full passes of a session")
  func equalsFullPassesOfASession() throws {
    let folder = SharedData.project("models/stories")
    let model = try Model(contentsOf: folder)
    let tokenizer = try Tokenizer(contentsOf: folder)
    let starts = ["Once upon a time", "The little dog", "Tom and Sue went to the park. They"]
    let ends = [" saw a big red ball.", " ran.", " were very happy, and they played all day long."]
    let contexts = starts.map { start in
      SharedContext(
        context: tokenizer.encode(start),
        continuations: ends.map { tokenizer.encode($0, addingSpecialTokens: false) })
    }
    var session = try Session(model, options: SessionOptions(contextLength: 64, cacheType: .f32))
    var expected: [[Double]] = []
    for context in contexts {
      var sums: [Double] = []
      for continuation in context.continuations {
        session.truncate(to: 0)
        let first = context.context.count - 1
        var sum = 0.0
        try session.evaluate(context.context + continuation) { index, logits in
          guard index >= first, index < first + continuation.count else { return }
          let row = logits.indices.map { Double(logits[$0]) }
          sum += logSoftmax(row, continuation[index - first])
        }
        sums.append(sum)
      }
      expected.append(sums)
    }
    var scorer = try ContinuationScorer(model, longestSequence: 64)
    // The bar of the issue. Logits of size 10 have six digits; the sums over twelve tokens differ by
    // the order in which products are added only.
    check(try scorer.scores(contexts), expected, within: 1e-4, "stories")
  }

  @Test("likelihoods do not depend on what else is in the batch")
  func theCompanyDoesNotMatter() throws {
    let configuration = ModelTests.tiny()
    let model = try Model(TinyCheckpoint(configuration).inMemory())
    let contexts = contexts(vocabularySize: configuration.vocabularySize)
    var scorer = try ContinuationScorer(model, longestSequence: 30)
    let together = try scorer.scores(contexts)
    // The same again: nothing of a batch is left behind.
    #expect(try scorer.scores(contexts) == together)
    let reversed = try scorer.scores(contexts.reversed())
    // Sums in another order; see above.
    check(reversed.reversed(), likelihoods(together), within: 1e-3, "reversed")
    for (context, values) in zip(contexts, likelihoods(together)) {
      check(try scorer.scores([context]), [values], within: 1e-3, "alone")
    }
    #expect(try scorer.scores([]) == [])
  }

  @Test("impossible lengths and tokens are refused")
  func refusals() throws {
    let model = try Model(TinyCheckpoint(ModelTests.tiny()).inMemory())
    for length in [0, -1, 1 << 25] {
      let error = #expect(throws: GenerationError.self) {
        _ = try ContinuationScorer(model, longestSequence: length)
      }
      #expect(error == .invalidContextLength(length))
    }
    var scorer = try ContinuationScorer(model, longestSequence: 4)
    #expect(throws: GenerationError.contextFull(needed: 5, capacity: 4)) {
      try scorer.scores([SharedContext(context: [1, 2], continuations: [[1, 2, 3, 4]])])
    }
    #expect(throws: GenerationError.tokenOutOfRange(id: 50, vocabularySize: 50)) {
      try scorer.scores([SharedContext(context: [1], continuations: [[50]])])
    }
    #expect(throws: GenerationError.cancelled) {
      try scorer.scores(
        [SharedContext(context: [1], continuations: [[2]])], isCancelled: { true })
    }
  }

  @Test("a weight that is not a number is named")
  func notANumber() throws {
    var checkpoint = TinyCheckpoint(ModelTests.tiny())
    checkpoint.tensors["model.layers.1.mlp.down_proj.weight"]?.values[3] = .nan
    let model = try Model(checkpoint.inMemory())
    var scorer = try ContinuationScorer(model, longestSequence: 4)
    #expect(
      throws: GenerationError.nonFinite(layer: 1, tensor: "model.layers.1.mlp.down_proj.weight")
    ) {
      try scorer.scores([SharedContext(context: [1], continuations: [[2]])])
    }
  }
}
