package import DuetRuntime
package import DuetSystem

/// The derivatives of a model's loss by the outputs of all its matrices, for one sequence after another.
///
/// Source of the use: Kim et al., GuidedQuant, arXiv:2505.07004.
package struct LossGradient<Element: GradientElement>: ~Copyable {
  private let checkpoint: Checkpoint
  private let model: Model
  private let layout: LayerParameterLayout
  private let head: HeadGradient<Element>
  private var layers: LayerwiseGradient<Element>

  /// The gradient of a model with dense weights.
  ///
  /// - Parameters:
  ///   - checkpoint: The model's tensors.
  ///   - model: The model.
  ///   - tokenCount: n, the tokens of a sequence, at least 2.
  ///   - algebra: The threads to compute with.
  /// - Throws: `CheckpointError`.
  package init(
    _ checkpoint: Checkpoint, _ model: Model, tokenCount: Int, _ algebra: LinearAlgebra
  ) throws(CheckpointError) {
    let configuration = checkpoint.configuration
    self.checkpoint = checkpoint
    self.model = model
    layout = LayerParameterLayout(configuration)
    head = try HeadGradient(checkpoint, algebra)
    layers = LayerwiseGradient(configuration, sequenceCount: 1, tokenCount: tokenCount, algebra)
  }

  /// Runs a sequence forward and backward.
  ///
  /// - Parameters:
  ///   - tokens: n tokens.
  ///   - visit: Called with each layer from the last to the first: the mean squares of the derivatives by the
  ///     outputs of its matrices for each token (see `LayerGradient.outputSquares`), and the derivatives by its
  ///     parameters.
  /// - Returns: The mean cross-entropy of the tokens from the second on, in nats.
  /// - Throws: `CheckpointError`, `GenerationError` for a token that is not in the vocabulary.
  /// - Complexity: Four forward passes through the layers, two through the head.
  package mutating func run(
    _ tokens: ArraySlice<Int>,
    visit: (
      _ layer: Int, _ squares: borrowing Buffer<Element>,
      _ gradients: borrowing LayerParameters<Element>
    ) -> Void
  ) throws -> Double {
    precondition(tokens.count == layers.tokenCount, "\(tokens.count) tokens")
    let (checkpoint, model, layout, head) = (checkpoint, model, layout, head)
    return try layers.run(
      embed: { _, stream in
        var embedded = Buffer<Float>(count: stream.count)
        try model.embed(tokens, into: &embedded)
        for index in 0..<stream.count { stream[index] = Element(embedded[index]) }
      },
      parameters: { try LayerParameters<Element>(checkpoint, layer: $0, layout) },
      loss: { head.loss($1, tokens: tokens, gradient: &$2) },
      visit: visit)
  }
}
