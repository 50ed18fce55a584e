package import DuetRuntime
package import DuetSystem

/// The derivatives of a model's loss by the outputs of all its matrices, for one sequence after another.
///
/// The sequence runs forward through all layers, whose inputs are kept. Then the derivatives go backward, layer by
/// layer, and each layer runs forward once more for what it needs. So the memory is that of one layer, and one
/// residual stream for each layer.
///
/// Source of the use: Kim et al., GuidedQuant, arXiv:2505.07004.
package struct LossGradient<Element: GradientElement>: ~Copyable {
  private let checkpoint: Checkpoint
  private let model: Model
  private let layout: LayerParameterLayout
  private let algebra: LinearAlgebra
  private let head: HeadGradient<Element>
  private var layer: LayerGradient<Element>
  /// The residual streams before all layers and behind the last, (layers + 1, n, hiddenSize).
  private let streams: Buffer<Element>
  private var embedded: Buffer<Float>

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
    let size = tokenCount * configuration.hiddenSize
    self.checkpoint = checkpoint
    self.model = model
    self.algebra = algebra
    layout = LayerParameterLayout(configuration)
    head = try HeadGradient(checkpoint, algebra)
    layer = LayerGradient(configuration, tokenCount: tokenCount, algebra)
    streams = Buffer(count: (configuration.layerCount + 1) * size)
    embedded = Buffer(count: size)
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
  /// - Complexity: Four forward passes through the layers, three through the head.
  package mutating func run(
    _ tokens: ArraySlice<Int>,
    visit: (
      _ layer: Int, _ squares: borrowing Buffer<Element>,
      _ gradients: borrowing LayerParameters<Element>
    ) -> Void
  ) throws -> Double {
    let size = embedded.count
    precondition(tokens.count == layer.tokenCount, "\(tokens.count) tokens")
    try model.embed(tokens, into: &embedded)
    for index in 0..<size { unsafe streams.pointer[index] = Element(embedded[index]) }
    let count = checkpoint.configuration.layerCount
    let stream = Buffer<Element>(count: size)
    for index in 0..<count {
      unsafe stream.pointer.update(from: streams.pointer + index * size, count: size)
      let parameters = try LayerParameters<Element>(checkpoint, layer: index, layout)
      layer.forward(stream, parameters)
      unsafe (streams.pointer + (index + 1) * size).update(from: layer.output.pointer, count: size)
    }
    unsafe stream.pointer.update(from: streams.pointer + count * size, count: size)
    var gradient = Buffer<Element>(count: size)
    var inputGradient = Buffer<Element>(count: size)
    let loss = head.loss(stream, tokens: tokens, gradient: &gradient)
    var derivatives = LayerParameters<Element>(layout)
    for index in (0..<count).reversed() {
      unsafe stream.pointer.update(from: streams.pointer + index * size, count: size)
      let parameters = try LayerParameters<Element>(checkpoint, layer: index, layout)
      layer.forward(stream, parameters)
      for element in 0..<layout.count { derivatives.elements[element] = 0 }
      layer.backward(gradient, parameters, into: &derivatives, inputGradient: &inputGradient)
      visit(index, layer.outputSquares, derivatives)
      swap(&gradient, &inputGradient)
    }
    return loss
  }
}
