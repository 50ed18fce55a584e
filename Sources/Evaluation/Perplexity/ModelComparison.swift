internal import DuetRuntime

/// The comparison of the predictions of two models for one token.
struct TokenComparison: Sendable {
  /// The loss of the model, in nats.
  let modelLoss: Double
  /// The loss of the reference, in nats.
  let referenceLoss: Double
  /// The Kullback-Leibler divergence of the model from the reference, in nats.
  let divergence: Double
  /// Whether both models have the same likeliest token; of equal logits the lowest id counts.
  let hasSameTop: Bool
  /// The model whose logits have an infinity or NaN, if there is one.
  let nonFiniteRole: PerplexityError.Role?

  /// Compares two rows of logits, (vocabularySize) each.
  ///
  /// With p = softmax(r) and q = softmax(m) the divergence is
  /// sum of p (r - m) + log(sum of exp(m)) - log(sum of exp(r)); equal rows give exactly 0.
  ///
  /// - Complexity: O(vocabularySize).
  init(model: Span<Float>, reference: Span<Float>, target: Int, _ kernels: KernelSet) {
    let sums = kernels.compare(logits: reference, with: model)
    modelLoss = sums.otherNormalizer - Double(model[target])
    referenceLoss = sums.normalizer - Double(reference[target])
    divergence = sums.meanDifference + sums.otherNormalizer - sums.normalizer
    hasSameTop = Self.top(model) == Self.top(reference)
    if !referenceLoss.isFinite {
      nonFiniteRole = .reference
    } else {
      nonFiniteRole = modelLoss.isFinite && divergence.isFinite ? nil : .model
    }
  }

  private static func top(_ logits: Span<Float>) -> Int {
    var best = 0
    for id in 1..<max(1, logits.count) where logits[id] > logits[best] { best = id }
    return best
  }
}

/// The differences between a model and a reference over all predictions, grouped by window.
public struct ModelComparison: Sendable, Equatable {
  /// The Kullback-Leibler divergence of the model from the reference, in nats per token.
  public private(set) var divergence = GroupedMean()
  /// 1 where both models have the same likeliest token, else 0.
  public private(set) var sameTop = GroupedMean()
  /// The loss of the reference, in nats.
  public private(set) var referenceLoss = GroupedMean()
  /// The loss of the model minus the loss of the reference, per token, in nats.
  ///
  /// The mean is the logarithm of the ratio of perplexities; its standard error is the paired one.
  public private(set) var logRatio = GroupedMean()

  /// Makes a comparison without predictions.
  public init() {}

  mutating func appendWindow(_ comparisons: [TokenComparison]) {
    for token in comparisons {
      divergence.append(token.divergence)
      sameTop.append(token.hasSameTop ? 1 : 0)
      referenceLoss.append(token.referenceLoss)
      logRatio.append(token.modelLoss - token.referenceLoss)
    }
    divergence.endGroup()
    sameTop.endGroup()
    referenceLoss.endGroup()
    logRatio.endGroup()
  }
}
