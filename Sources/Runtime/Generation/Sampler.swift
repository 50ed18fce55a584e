#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// How the next token is chosen.
public struct SamplingOptions: Sendable, Equatable {
  /// Divides the logits: below 1, likely tokens become likelier.
  ///
  /// 0 always takes the likeliest token.
  public var temperature: Double
  /// Keeps the k likeliest tokens; 0 keeps all.
  public var topK: Int
  /// Keeps the fewest likeliest tokens whose probabilities sum to at least this; 1 keeps all.
  public var topP: Double
  /// Keeps tokens at least this share as probable as the likeliest; 0 keeps all.
  public var minP: Double
  /// Divides positive and multiplies negative logits of tokens seen lately; 1 changes nothing.
  public var repetitionPenalty: Double
  /// How many of the latest tokens the penalty applies to.
  public var repetitionWindow: Int
  /// The seed of the draws.
  public var seed: UInt64

  /// Options with the defaults of `chat`.
  public init(
    temperature: Double = 0.7, topK: Int = 40, topP: Double = 0.95, minP: Double = 0.05,
    repetitionPenalty: Double = 1, repetitionWindow: Int = 64, seed: UInt64 = 0
  ) {
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.minP = minP
    self.repetitionPenalty = repetitionPenalty
    self.repetitionWindow = repetitionWindow
    self.seed = seed
  }
}

/// Chooses the next token from logits.
///
/// In this order: repetition penalty, temperature 0 (the likeliest; the lowest id on ties), top-k,
/// softmax, top-p, min-p, then a draw with the temperature applied. Top-p and min-p look at the
/// probabilities at temperature 1, so that a high temperature does not let unlikely tokens in.
public struct Sampler: Sendable {
  private let options: SamplingOptions
  private let candidateCount: Int
  private var generator: RandomGenerator

  /// A sampler of the ids below `vocabularySize`.
  ///
  /// - Parameters:
  ///   - options: How to choose.
  ///   - vocabularySize: The number of ids of the tokenizer: a model may have more logits, and an id
  ///     that the tokenizer does not have is never chosen.
  /// - Precondition: `vocabularySize` is positive.
  public init(_ options: SamplingOptions = SamplingOptions(), vocabularySize: Int) {
    precondition(vocabularySize > 0, "a vocabulary of \(vocabularySize) tokens")
    self.options = options
    candidateCount = vocabularySize
    generator = RandomGenerator(seed: options.seed)
  }

  /// The next token.
  ///
  /// - Parameters:
  ///   - logits: (vocabularySize), or more.
  ///   - history: The tokens so far, for the repetition penalty.
  /// - Returns: An id below the sampler's vocabulary size.
  /// - Throws: `GenerationError.nonFinite` when a logit is NaN or infinite.
  /// - Complexity: O(vocabularySize) plus sorting what top-k keeps.
  public mutating func next(
    _ logits: Span<Float>, history: [Int] = []
  ) throws(GenerationError) -> Int {
    let count = min(candidateCount, logits.count)
    if options.temperature <= 0, options.repetitionPenalty == 1 {
      return try likeliest(logits, count)
    }
    var scores: [Int: Float] = [:]
    if options.repetitionPenalty != 1 {
      for id in history.suffix(max(0, options.repetitionWindow)) where id >= 0 && id < count {
        let penalty = Float(options.repetitionPenalty)
        scores[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty
      }
    }
    var candidates: [Candidate] = []
    let kept = options.temperature <= 0 ? 1 : options.topK <= 0 ? count : min(options.topK, count)
    candidates.reserveCapacity(min(2 * kept, count) + 1)
    // Ids ascend and the lower id wins a tie, so a score that is not above the worst of the kept can be
    // dropped at once. The list is cut back to `kept` whenever it has twice as many.
    var floor = -Float.infinity
    for id in 0..<count {
      let score = scores.isEmpty ? logits[id] : scores[id] ?? logits[id]
      guard score.isFinite else { throw .nonFinite(layer: nil, tensor: nil) }
      if score <= floor { continue }
      candidates.append(Candidate(id: id, score: score))
      if candidates.count >= 2 * kept, kept < count {
        candidates.sort()
        candidates.removeSubrange(kept...)
        floor = candidates[kept - 1].score
      }
    }
    candidates.sort()
    if candidates.count > kept { candidates.removeSubrange(kept...) }
    if options.temperature <= 0 { return candidates[0].id }
    return draw(from: candidates)
  }

  /// The id of the greatest of the first `count` logits, the lowest on ties.
  ///
  /// - Complexity: O(count); no allocation.
  private func likeliest(_ logits: Span<Float>, _ count: Int) throws(GenerationError) -> Int {
    var best = 0
    for id in 0..<count {
      guard logits[id].isFinite else { throw .nonFinite(layer: nil, tensor: nil) }
      if logits[id] > logits[best] { best = id }
    }
    return best
  }

  /// Draws from candidates in descending order of score, after top-p and min-p.
  private mutating func draw(from candidates: [Candidate]) -> Int {
    let highest = Double(candidates[0].score)
    let weights = candidates.map { exp(Double($0.score) - highest) }
    let total = weights.reduce(0, +)
    var kept = 0
    var sum = 0.0
    // The likeliest is always kept; relative to it, min-p is a threshold on the weight itself.
    while kept < weights.count, kept == 0 || sum < options.topP * total || options.topP >= 1 {
      if kept > 0, weights[kept] < options.minP { break }
      sum += weights[kept]
      kept += 1
    }
    let tempered = candidates[..<kept].map {
      exp((Double($0.score) - highest) / options.temperature)
    }
    var remaining = generator.nextUnit() * tempered.reduce(0, +)
    for (candidate, weight) in zip(candidates, tempered) {
      remaining -= weight
      if remaining < 0 { return candidate.id }
    }
    return candidates[kept - 1].id
  }
}

/// A token and its score; sorted, the likeliest is first, and the lowest id is first among equals.
private struct Candidate: Comparable {
  let id: Int
  let score: Float

  static func < (left: Candidate, right: Candidate) -> Bool {
    left.score != right.score ? left.score > right.score : left.id < right.id
  }
}
