import DuetRuntime
import Foundation
import Testing

@Suite("Sampler")
struct SamplerTests {
  /// The next token by `options` for `logits`.
  private func draw(_ sampler: inout Sampler, _ logits: [Float], history: [Int] = []) -> Int? {
    try? sampler.next(logits.span, history: history)
  }

  private func frequencies(
    _ options: SamplingOptions, _ logits: [Float], history: [Int] = [], draws: Int = 20_000
  ) -> [Double] {
    var sampler = Sampler(options, vocabularySize: logits.count)
    var counts = [Double](repeating: 0, count: logits.count)
    for _ in 0..<draws {
      if let id = draw(&sampler, logits, history: history) { counts[id] += 1 }
    }
    return counts
  }

  /// Pearson's statistic of the counts against the probabilities; impossible ids must not occur.
  private func chiSquare(_ counts: [Double], _ probabilities: [Double]) -> Double {
    let draws = counts.reduce(0, +)
    return zip(counts, probabilities).reduce(0) { sum, pair in
      if pair.1 == 0 { return pair.0 == 0 ? sum : .infinity }
      let expected = draws * pair.1
      return sum + (pair.0 - expected) * (pair.0 - expected) / expected
    }
  }

  private func softmax(_ logits: [Double]) -> [Double] {
    let weights = logits.map { exp($0) }
    let total = weights.reduce(0, +)
    return weights.map { $0 / total }
  }

  // With at most 5 degrees of freedom the statistic exceeds 25.7 once in 10,000 seeds (table of the
  // chi-square distribution); the seed is fixed, so a pass stays a pass.
  private let limit = 25.7
  private let logits: [Float] = [1, 2.5, -0.5, 2, 0, 1.5]
  private let open = SamplingOptions(temperature: 1, topK: 0, topP: 1, minP: 0, seed: 11)

  @Test("tokens are drawn in proportion to their probabilities")
  func drawsInProportionToTheProbabilities() {
    let counts = frequencies(open, logits)
    #expect(chiSquare(counts, softmax(logits.map(Double.init))) < limit)
  }

  @Test("temperature flattens or sharpens")
  func temperatureFlattensOrSharpens() {
    for temperature in [0.5, 2.0] {
      var options = open
      options.temperature = temperature
      let expected = softmax(logits.map { Double($0) / temperature })
      #expect(chiSquare(frequencies(options, logits), expected) < limit)
    }
  }

  @Test("top-k keeps the likeliest")
  func topKKeepsTheLikeliest() {
    var options = open
    options.topK = 3
    let kept: [Double] = [-.infinity, 2.5, -.infinity, 2, -.infinity, 1.5]
    #expect(chiSquare(frequencies(options, logits), softmax(kept)) < limit)
  }

  @Test("top-p keeps the fewest that sum to it")
  func topPKeepsTheFewestThatSumToIt() {
    // Probabilities in falling order: 0.416, 0.252, 0.153, 0.093, 0.034, 0.021 -> 0.7 takes three.
    var options = open
    options.topP = 0.7
    let kept: [Double] = [-.infinity, 2.5, -.infinity, 2, -.infinity, 1.5]
    #expect(chiSquare(frequencies(options, logits), softmax(kept)) < limit)
  }

  @Test("min-p keeps tokens with a share of the likeliest")
  func minPKeepsAShareOfTheLikeliest() {
    // Relative to the likeliest: 1, 0.61, 0.37, 0.22, 0.08, 0.05 -> 0.3 takes three.
    var options = open
    options.minP = 0.3
    let kept: [Double] = [-.infinity, 2.5, -.infinity, 2, -.infinity, 1.5]
    #expect(chiSquare(frequencies(options, logits), softmax(kept)) < limit)
  }

  @Test("a repetition penalty pushes seen tokens down")
  func repetitionPenaltyPushesSeenTokensDown() {
    var options = open
    options.repetitionPenalty = 2
    let expected = softmax([1, 1.25, -1, 2, 0, 1.5])
    #expect(chiSquare(frequencies(options, logits, history: [1, 2]), expected) < limit)
    options.repetitionWindow = 1
    let shorter = softmax([1, 2.5, -1, 2, 0, 1.5])
    #expect(chiSquare(frequencies(options, logits, history: [1, 2]), shorter) < limit)
  }

  @Test("temperature 0 takes the likeliest, of equals the lowest id")
  func temperatureZeroTakesTheLikeliestAndTheLowestOnTies() {
    var sampler = Sampler(SamplingOptions(temperature: 0), vocabularySize: 5)
    #expect(draw(&sampler, [0, 3, 1, 3, 2]) == 1)
    #expect(draw(&sampler, [5, 3, 1, 3, 2]) == 0)
    #expect(draw(&sampler, [0, 1, 2, 3, 4]) == 4)
  }

  @Test("the same seed draws the same, another seed others")
  func theSameSeedDrawsTheSame() {
    var one = Sampler(open, vocabularySize: logits.count)
    var two = Sampler(open, vocabularySize: logits.count)
    for _ in 0..<100 { #expect(draw(&one, logits) == draw(&two, logits)) }
    var options = open
    options.seed = 12
    #expect(frequencies(options, logits) != frequencies(open, logits))
  }

  @Test("ids beyond the vocabulary are never chosen")
  func idsWithoutANameAreNeverChosen() {
    var sampler = Sampler(open, vocabularySize: 2)
    for _ in 0..<200 { #expect((draw(&sampler, [0, 0, 50, 50]) ?? 9) < 2) }
  }

  @Test("many tokens are cut back to the likeliest")
  func manyTokensAreCutBackToTheLikeliest() {
    var generator = RandomGenerator(seed: 3)
    let scores = (0..<5000).map { _ in Float(generator.nextUnit() * 10) }
    let best = Set(scores.indices.sorted { scores[$0] > scores[$1] }.prefix(40))
    var sampler = Sampler(
      SamplingOptions(temperature: 5, topK: 40, topP: 1, minP: 0, seed: 1), vocabularySize: 5000)
    var seen: Set<Int> = []
    for _ in 0..<2000 {
      if let id = draw(&sampler, scores) { seen.insert(id) }
    }
    // 40 tokens of nearly equal weight: all are seen, each is missed with probability 40 e^-50.
    #expect(seen == best)
  }

  @Test("logits that are not finite are refused")
  func nonFiniteLogitsAreRefused() {
    var sampler = Sampler(open, vocabularySize: 3)
    for bad in [Float.nan, .infinity, -.infinity] {
      let broken: [Float] = [0, bad, 1]
      #expect(throws: GenerationError.nonFinite(layer: nil, tensor: nil)) {
        _ = try sampler.next(broken.span)
      }
    }
  }
}
