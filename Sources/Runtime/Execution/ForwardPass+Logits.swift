internal import DuetSystem

extension ForwardPass {
  /// Computes the logits of some tokens of a batch after the last layer.
  ///
  /// - Parameters:
  ///   - model: The model of the layers.
  ///   - hidden: The residual stream, (tokens, hiddenSize).
  ///   - firstToken: The row of the first token.
  ///   - count: The number of tokens, at most `tokenLimit`.
  ///   - rows: (count, vocabularySize), overwritten.
  /// - Returns: Whether all logits are finite.
  /// - Complexity: One pass over the weights of the head.
  mutating func computeLogits(
    of model: Model, _ hidden: borrowing Buffer<Float>, firstToken: Int, count: Int,
    into rows: inout Buffer<Float>
  ) -> Bool {
    context.normalize(
      hidden, firstToken: firstToken, model.outputNorm,
      epsilon: Float(configuration.normEpsilon), tokenCount: count,
      into: &activations.normalized)
    context.multiply(
      model.head, activations.normalized, inputStride: configuration.hiddenSize,
      tokenCount: count, scratch: &activations.compressed, into: &rows)
    return isFinite(rows, count: count * configuration.vocabularySize)
  }
}
