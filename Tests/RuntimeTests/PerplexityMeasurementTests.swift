import DuetEvaluation
import DuetRuntime
import DuetSystem
import Foundation
import Testing

/// A model whose logits are a fixed function of all tokens before, so that a wrong context shows.
private struct FakeModel: LogitSource {
  let vocabularySize: Int
  var seed: UInt64 = 0
  /// What comes out after some history instead: a number put into logit 0, or an error.
  var poison: (historyCount: Int, value: Float)?
  var failure: GenerationError?
  var history: [Int] = []

  static func logits(_ history: [Int], seed: UInt64, count: Int) -> [Float] {
    var state = 0x9E37_79B9_7F4A_7C15 &+ seed
    func mix(_ value: UInt64) {
      state = (state ^ value) &* 0xD129_0B26_88D2_9C4F
      state ^= state >> 29
    }
    for token in history { mix(UInt64(token) &+ 77) }
    return (0..<count).map { index in
      mix(UInt64(index))
      return Float(state >> 40) / Float(1 << 24) * 6 - 3
    }
  }

  mutating func restart() { history = [] }

  mutating func append(_ tokens: [Int], isCancelled: () -> Bool) throws(GenerationError) {
    if isCancelled() { throw .cancelled }
    history += tokens
  }

  mutating func evaluate(
    _ tokens: [Int], isCancelled: () -> Bool, _ body: (Int, Span<Float>) -> Void
  ) throws(GenerationError) {
    if isCancelled() { throw .cancelled }
    if let failure, history.isEmpty { throw failure }
    for (index, token) in tokens.enumerated() {
      history.append(token)
      var logits = Self.logits(history, seed: seed, count: vocabularySize)
      if let poison, poison.historyCount == history.count { logits[0] = poison.value }
      body(index, logits.span)
    }
  }
}

@Suite("Measurement of perplexity")
struct PerplexityMeasurementTests {
  private let size = 23
  private let seeds: (model: UInt64, reference: UInt64) = (5, 6)

  private func text(_ count: Int) -> [Int] { (0..<count).map { 2 + ($0 * $0 * 7 + $0) % 20 } }

  /// -log softmax(logits after `context`)[target], straight from the definition.
  private func loss(_ context: [Int], _ target: Int, seed: UInt64 = 5) -> Double {
    let logits = FakeModel.logits(context, seed: seed, count: size).map(Double.init)
    return log(logits.map(exp).reduce(0, +)) - logits[target]
  }

  private func measure(_ plan: WindowPlan) throws -> PerplexityMeasurement {
    var model = FakeModel(vocabularySize: size, seed: seeds.model)
    var measurement = PerplexityMeasurement(plan)
    while !measurement.isComplete { try measurement.scoreNextWindow(&model) }
    return measurement
  }

  private func plan(
    _ documents: [[Int]], _ name: PerplexityProtocol, _ context: Int, bos: BeginningRule = .auto,
    tail: TailRule? = nil
  ) throws -> WindowPlan {
    try WindowPlan(
      documents: documents, protocol: name, contextLength: context, beginning: bos, tail: tail,
      beginningToken: 1, addsBeginning: true, path: "text")
  }

  /// The kernel sums 23 floats of magnitude below e^3 in single precision: a relative error below
  /// 23 * 2^-23 < 3e-6 of the normaliser, whose logarithm then errs by no more than that.
  private let lossTolerance = 3e-6

  private func expectClose(
    _ actual: Double?, _ expected: Double, _ tolerance: Double,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(
      actual.map { abs($0 - expected) <= tolerance } == true,
      "\(actual ?? .nan) is not \(expected)",
      sourceLocation: sourceLocation)
  }

  // MARK: - Each protocol against its definition

  @Test(
    "the paper's protocol gives the losses of its windows",
    arguments: [(100, 8), (97, 10), (16, 16), (33, 2)])
  func paper(count: Int, context: Int) throws {
    let tokens = [1] + text(count)
    var sums: [Double] = []
    for start in stride(from: 0, through: tokens.count - context, by: context) {
      let window = Array(tokens[start..<start + context])
      sums.append((1..<context).reduce(0) { $0 + loss(Array(window[..<$1]), window[$1]) })
    }
    let measurement = try measure(plan([text(count)], .paper, context))
    #expect(measurement.windowsDone == sums.count)
    #expect(measurement.scoredTokenCount == sums.count * (context - 1))
    #expect(measurement.samplingUnit == (sums.count < 2 ? .tokens : .windows))
    let means = sums.map { $0 / Double(context - 1) }
    let mean = means.reduce(0, +) / Double(means.count)
    expectClose(measurement.loss.mean, mean, lossTolerance)
    expectClose(measurement.perplexity, exp(mean), exp(mean) * 2 * lossTolerance)
    if means.count > 1 {
      let variance =
        means.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(means.count - 1)
      let error = exp(mean) * (variance / Double(means.count)).squareRoot()
      // Each deviation errs by at most twice the loss's error; so does their root mean square.
      expectClose(
        measurement.perplexityEstimate?.standardError, error, exp(mean) * 4 * lossTolerance)
    }
  }

  @Test("each window may have its own beginning token", arguments: [(100, 8), (99, 12)])
  func everyWindowWithBeginning(count: Int, context: Int) throws {
    let tokens = text(count)
    var total = 0.0
    for index in tokens.indices {
      let start = index / (context - 1) * (context - 1)
      total += loss([1] + tokens[start..<index], tokens[index])
    }
    let measurement = try measure(plan([tokens], .paper, context, bos: .every))
    #expect(measurement.scoredTokenCount == count)
    expectClose(measurement.loss.mean, total / Double(count), lossTolerance)
  }

  @Test(
    "the protocol of llama.cpp gives the losses of second halves",
    arguments: [(100, 8), (64, 9), (63, 32)])
  func llamaCpp(count: Int, context: Int) throws {
    let tokens = [1] + text(count)
    var losses: [Double] = []
    for chunk in 0..<tokens.count / context {
      var window = Array(tokens[chunk * context..<(chunk + 1) * context])
      window[0] = 1
      for position in context / 2...context - 2 {
        losses.append(loss(Array(window[...position]), window[position + 1]))
      }
    }
    let measurement = try measure(plan([text(count)], .llamaCpp, context))
    #expect(measurement.scoredTokenCount == losses.count)
    #expect(measurement.samplingUnit == .tokens)
    let count = Double(losses.count)
    let mean = losses.reduce(0, +) / count
    let square = losses.reduce(0) { $0 + $1 * $1 } / count
    expectClose(measurement.loss.mean, mean, lossTolerance)
    let error = exp(mean) * ((square - mean * mean) / (count - 1)).squareRoot()
    expectClose(
      measurement.perplexityEstimate?.standardError, error, exp(mean) * 4 * lossTolerance)
  }

  @Test("the protocol of lm-eval gives the losses of whole documents", arguments: [4, 7, 10, 50])
  func lmEval(context: Int) throws {
    let sources = [
      " = One = \n \n" + String(repeating: "word ", count: 9), " = Two = \n x", " = Three = \n",
    ]
    let documents = try EvaluationText(
      Array(sources.joined(separator: "\n").utf8), path: "a", protocol: .lmEval,
      options: .init(format: .wikitextLines)
    ).documents
    #expect(documents.count == 3)
    let ids = [text(41), text(7), text(8)]
    var losses: [Double] = []
    for document in ids {
      let tokens = [1] + document
      var total = 0.0
      for index in tokens.indices {
        let window = index / context
        let isLast = (window + 1) * context > tokens.count
        // The input that comes first: the prefix, the token before the window, or in a last, shorter
        // window the one that leaves room for `context` inputs.
        let start = window == 0 ? 0 : isLast ? tokens.count - 1 - context : window * context - 1
        let inputs = window == 0 ? [1] + tokens[..<index] : Array(tokens[start..<index])
        total += loss(inputs, tokens[index])
      }
      losses.append(total)
    }
    let measurement = try measure(plan(ids, .lmEval, context))
    let result = try #require(measurement.documentPerplexity(documents))
    let total = losses.reduce(0, +)
    let words = Double(documents.reduce(0) { $0 + $1.wordCount })
    let bytes = Double(documents.reduce(0) { $0 + $1.byteCount })
    // 59 losses are added up before the division.
    let tolerance = 59 * lossTolerance
    expectClose(log(result.word.value), total / words, tolerance / words)
    expectClose(log(result.byte.value), total / bytes, tolerance / bytes)
    expectClose(result.bitsPerByte.value, total / (bytes * log(2)), 2 * tolerance / bytes)
    let ratio = total / words
    let squares = zip(losses, documents).reduce(0.0) { sum, pair in
      let residual = pair.0 - ratio * Double(pair.1.wordCount)
      return sum + residual * residual
    }
    let error = (1.5 * squares).squareRoot() / words * exp(ratio)
    expectClose(result.word.standardError, error, error * 1e-4)
  }

  // MARK: - Comparison

  @Test(
    "a comparison gives divergence, equal choices and the ratio by their formulas",
    arguments: [PerplexityProtocol.paper, .llamaCpp])
  func comparison(name: PerplexityProtocol) throws {
    // A context of 300 makes steps of 128, 128 and a rest.
    let plan = try plan([text(1000)], name, 300)
    var model = FakeModel(vocabularySize: size, seed: seeds.model)
    var reference = FakeModel(vocabularySize: size, seed: seeds.reference)
    var measurement = PerplexityMeasurement(plan)
    var progress: [Int] = []
    while !measurement.isComplete {
      try measurement.scoreNextWindow(
        &model, comparingWith: &reference, progress: { progress.append($0) })
    }
    #expect(progress == Array(1...plan.targetCount))

    var divergences: [Double] = []
    var same: [Double] = []
    var ratios: [Double] = []
    var losses: [(model: Double, reference: Double)] = []
    for index in 0..<plan.windowCount {
      let window = plan[index]
      for (offset, target) in window.targets.enumerated() {
        let context = Array(window.inputs[...(window.firstScored + offset)])
        func logs(_ seed: UInt64) -> [Double] {
          (0..<size).map { -loss(context, $0, seed: seed) }
        }
        let (p, q) = (logs(seeds.reference), logs(seeds.model))
        divergences.append(zip(p, q).reduce(0) { $0 + exp($1.0) * ($1.0 - $1.1) })
        same.append(p.firstIndex(of: p.max() ?? 0) == q.firstIndex(of: q.max() ?? 0) ? 1 : 0)
        ratios.append(p[target] - q[target])
        losses.append((-q[target], -p[target]))
      }
    }
    let count = Double(losses.count)
    func mean(_ values: [Double]) -> Double { values.reduce(0, +) / count }
    // Everything is in Double: 23 terms each, errors below 1e-13.
    let tolerance = 1e-11
    let result = try #require(measurement.comparison)
    expectClose(result.divergence.mean, mean(divergences), tolerance)
    expectClose(result.sameTop.mean, mean(same), tolerance)
    expectClose(result.logRatio.mean, mean(ratios), tolerance)
    let (modelMean, referenceMean) = (mean(losses.map(\.model)), mean(losses.map(\.reference)))
    let (p, r) = (exp(modelMean), exp(referenceMean))
    expectClose(measurement.perplexity, p, p * tolerance)
    expectClose(measurement.referencePerplexity?.value, r, r * tolerance)
    expectClose(measurement.perplexityRatio?.value, p / r, p / r * tolerance)
    expectClose(measurement.perplexityChange?.value, p - r, p * tolerance)
    if name == .llamaCpp {
      let parts = losses.map { p * $0.model - r * $0.reference }
      let center = mean(parts)
      let variance = mean(parts.map { ($0 - center) * ($0 - center) })
      // The variance is a difference of squares a few hundred times larger.
      expectClose(
        measurement.perplexityChange?.standardError, (variance / (count - 1)).squareRoot(), 1e-9)
      let share = mean(same)
      expectClose(
        measurement.estimate(result.sameTop)?.standardError,
        (share * (1 - share) / (count - 1)).squareRoot(), 1e-11)
    }
    // The other way of scoring agrees, within the kernel's precision.
    expectClose(try measure(plan).loss.mean, modelMean, lossTolerance)
  }

  @Test("a model equals itself")
  func aModelEqualsItself() throws {
    var model = FakeModel(vocabularySize: size)
    var same = FakeModel(vocabularySize: size)
    var measurement = try PerplexityMeasurement(plan([text(100)], .paper, 20))
    while !measurement.isComplete {
      try measurement.scoreNextWindow(&model, comparingWith: &same)
    }
    #expect(measurement.comparison?.divergence.sum == 0)
    #expect(measurement.comparison?.sameTop.mean == 1)
    #expect(measurement.perplexityRatio == Estimate(value: 1, standardError: 0))
    #expect(measurement.perplexityChange == Estimate(value: 0, standardError: 0))
  }

  @Test("models of different vocabularies are not compared")
  func differentVocabularies() throws {
    var model = FakeModel(vocabularySize: 23)
    var other = FakeModel(vocabularySize: 24)
    var measurement = try PerplexityMeasurement(plan([text(100)], .paper, 20))
    #expect(throws: PerplexityError.differentVocabularies(modelSize: 23, referenceSize: 24)) {
      try measurement.scoreNextWindow(&model, comparingWith: &other)
    }
  }

  // MARK: - No number from a part

  @Test("logits that are not finite stop the run", arguments: [Float.nan, .infinity])
  func nonFiniteLogitsStopTheRun(value: Float) throws {
    var model = FakeModel(vocabularySize: size)
    var measurement = try PerplexityMeasurement(plan([text(100)], .paper, 20))
    try measurement.scoreNextWindow(&model)
    model.poison = (historyCount: 4, value: value)
    #expect(
      throws: PerplexityError.nonFinite(
        model: .model, window: 2, windowCount: 5, layer: nil, tensor: nil, scoredTokenCount: 22,
        expectedTokenCount: 95)
    ) { try measurement.scoreNextWindow(&model) }
    #expect(measurement.windowsDone == 1)
    #expect(measurement.scoredTokenCount == 19)

    var clean = FakeModel(vocabularySize: size)
    for role in [PerplexityError.Role.model, .reference] {
      let error = #expect(throws: PerplexityError.self) {
        if role == .model {
          try measurement.scoreNextWindow(&model, comparingWith: &clean)
        } else {
          try measurement.scoreNextWindow(&clean, comparingWith: &model)
        }
      }
      guard case .nonFinite(role, 2, 5, nil, nil, 22, 95) = error else {
        Issue.record("\(String(describing: error))")
        return
      }
    }
  }

  @Test("a layer with numbers that are not finite is named")
  func nonFiniteLayerIsNamed() throws {
    var model = FakeModel(vocabularySize: size)
    model.failure = .nonFinite(layer: 3, tensor: "model.layers.3.mlp.down_proj.weight")
    var measurement = try PerplexityMeasurement(plan([text(100)], .paper, 20))
    let error = #expect(throws: PerplexityError.self) { try measurement.scoreNextWindow(&model) }
    #expect(error?.category == .numerical)
    #expect(error?.description.contains("after layer 3 in window 1 of 5") == true)
    #expect(error?.description.contains("model.layers.3.mlp.down_proj.weight") == true)
    #expect(measurement.perplexity.isNaN)
    #expect(measurement.perplexityEstimate == nil)
  }

  @Test("a measurement can be cancelled")
  func cancelling() throws {
    var model = FakeModel(vocabularySize: size)
    var measurement = try PerplexityMeasurement(plan([text(100)], .paper, 20))
    #expect(throws: PerplexityError.generation(.cancelled)) {
      try measurement.scoreNextWindow(&model, isCancelled: { true })
    }
  }
}
