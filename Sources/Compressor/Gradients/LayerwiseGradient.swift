package import DuetRuntime
package import DuetSystem

/// The derivatives of a loss by the parameters of all layers, for some sequences of the same length.
///
/// The sequences run forward through all layers, whose inputs are kept. Then the derivatives go backward, layer by
/// layer, and each layer runs forward once more for what it needs. So the memory is that of one layer, and one
/// residual stream for each layer and sequence.
package struct LayerwiseGradient<Element: GradientElement>: ~Copyable {
  /// The number of sequences.
  package let sequenceCount: Int
  /// n, the tokens of a sequence.
  package let tokenCount: Int

  private let configuration: Configuration
  private let layout: LayerParameterLayout
  private var layer: LayerGradient<Element>
  /// The residual streams before all layers and behind the last, (layers + 1, sequences, n, hiddenSize).
  ///
  /// On the way back the derivatives by a stream take its place.
  private let streams: Buffer<Element>

  /// The gradient of a model with these sizes.
  ///
  /// - Parameters:
  ///   - configuration: The sizes.
  ///   - sequenceCount: The number of sequences, at least 1.
  ///   - tokenCount: n, at least 1.
  ///   - algebra: The threads to compute with.
  package init(
    _ configuration: Configuration, sequenceCount: Int, tokenCount: Int, _ algebra: LinearAlgebra
  ) {
    precondition(sequenceCount > 0, "\(sequenceCount) sequences")
    self.configuration = configuration
    self.sequenceCount = sequenceCount
    self.tokenCount = tokenCount
    layout = LayerParameterLayout(configuration)
    layer = LayerGradient(configuration, tokenCount: tokenCount, algebra)
    streams = Buffer(
      count: (configuration.layerCount + 1) * sequenceCount * tokenCount * configuration.hiddenSize)
  }

  /// Runs all sequences forward and backward.
  ///
  /// - Parameters:
  ///   - embed: Writes the embedding of a sequence, (n, hiddenSize).
  ///   - parameters: The parameters of a layer; asked for twice.
  ///   - loss: The loss of a sequence by the residual stream behind the last layer, (n, hiddenSize), and its
  ///     derivatives by that stream, which it writes.
  ///   - visit: Called with each layer from the last to the first: the mean squares of the derivatives by the
  ///     outputs of its matrices for each token of the last sequence (see `LayerGradient.outputSquares`), and the
  ///     derivatives of the sum of all losses by its parameters.
  /// - Returns: The sum of the losses.
  /// - Throws: What `embed` and `parameters` throw.
  /// - Complexity: Four forward passes through the layers.
  package mutating func run(
    embed: (_ sequence: Int, _ stream: inout Buffer<Element>) throws -> Void,
    parameters: (_ layer: Int) throws -> LayerParameters<Element>,
    loss: (
      _ sequence: Int, _ stream: borrowing Buffer<Element>, _ gradient: inout Buffer<Element>
    ) -> Double,
    visit: (
      _ layer: Int, _ squares: borrowing Buffer<Element>,
      _ gradients: borrowing LayerParameters<Element>
    ) throws -> Void
  ) throws -> Double {
    let size = tokenCount * configuration.hiddenSize
    let count = configuration.layerCount
    var stream = Buffer<Element>(count: size)
    for sequence in 0..<sequenceCount {
      try embed(sequence, &stream)
      unsafe place(0, sequence).update(from: stream.pointer, count: size)
    }
    for index in 0..<count {
      let parameters = try parameters(index)
      for sequence in 0..<sequenceCount {
        unsafe stream.pointer.update(from: place(index, sequence), count: size)
        layer.forward(stream, parameters)
        unsafe place(index + 1, sequence).update(from: layer.output.pointer, count: size)
      }
    }
    var gradient = Buffer<Element>(count: size)
    var sum = 0.0
    for sequence in 0..<sequenceCount {
      unsafe stream.pointer.update(from: place(count, sequence), count: size)
      sum += loss(sequence, stream, &gradient)
      unsafe place(count, sequence).update(from: gradient.pointer, count: size)
    }
    var inputGradient = Buffer<Element>(count: size)
    var derivatives = LayerParameters<Element>(layout)
    for index in (0..<count).reversed() {
      let parameters = try parameters(index)
      for element in 0..<layout.count { derivatives.elements[element] = 0 }
      for sequence in 0..<sequenceCount {
        unsafe stream.pointer.update(from: place(index, sequence), count: size)
        unsafe gradient.pointer.update(from: place(index + 1, sequence), count: size)
        layer.forward(stream, parameters)
        layer.backward(gradient, parameters, into: &derivatives, inputGradient: &inputGradient)
        unsafe place(index, sequence).update(from: inputGradient.pointer, count: size)
      }
      try visit(index, layer.outputSquares, derivatives)
    }
    return sum
  }

  /// The stream of a sequence before a layer, or behind the last.
  private func place(_ layer: Int, _ sequence: Int) -> UnsafeMutablePointer<Element> {
    let size = tokenCount * configuration.hiddenSize
    return unsafe streams.pointer + (layer * sequenceCount + sequence) * size
  }
}
