internal import DuetSystem

extension ForwardPass {
  /// The most rows of logits that are computed together.
  ///
  /// They take at most 64 MiB, and are enough for BLAS to work well.
  var logitRowLimit: Int {
    min(tokenLimit, max(16, min(256, (1 << 24) / configuration.vocabularySize)))
  }

  /// Runs one batch through all layers of a model.
  ///
  /// - Parameters:
  ///   - model: The model to run.
  ///   - tokens: The tokens of the batch, at most `tokenLimit`.
  ///   - hidden: Overwritten by the residual stream after the last layer, (tokens, hiddenSize).
  ///   - memory: The keys and values, as the caller keeps them.
  ///   - isCancelled: Called between layers; true stops the work.
  ///   - run: Runs one layer.
  /// - Throws: `GenerationError`.
  /// - Complexity: One pass over the weights of the layers.
  mutating func run<Memory: ~Copyable>(
    _ model: Model, _ tokens: ArraySlice<Int>, _ hidden: inout Buffer<Float>,
    _ memory: inout Memory, isCancelled: () -> Bool,
    layer run: (
      _ pass: inout ForwardPass, _ layer: DecoderLayer, _ index: Int,
      _ hidden: inout Buffer<Float>, _ memory: inout Memory
    ) -> Void
  ) throws(GenerationError) {
    try model.embed(tokens, into: &hidden)
    for (index, layer) in model.layers.enumerated() {
      if isCancelled() { throw .cancelled }
      run(&self, layer, index, &hidden, &memory)
      guard isFinite(hidden, count: tokens.count * configuration.hiddenSize) else {
        throw .nonFinite(layer: index, tensor: model.firstNonFiniteWeight())
      }
    }
  }

  /// Computes the logits of some tokens of a batch after the last layer.
  ///
  /// - Parameters:
  ///   - model: The model of the layers.
  ///   - hidden: The residual stream, (tokens, hiddenSize).
  ///   - firstToken: The row of the first token.
  ///   - count: The number of tokens, at most `tokenLimit`.
  ///   - rows: (count, vocabularySize), overwritten.
  /// - Throws: `GenerationError.nonFinite`.
  mutating func computeFiniteLogits(
    of model: Model, _ hidden: borrowing Buffer<Float>, firstToken: Int, count: Int,
    into rows: inout Buffer<Float>
  ) throws(GenerationError) {
    guard
      computeLogits(of: model, hidden, firstToken: firstToken, count: count, into: &rows)
    else { throw .nonFinite(layer: nil, tensor: model.firstNonFiniteWeight()) }
  }
}
