internal import DuetRuntime
internal import DuetSystem

/// The way of some sequences forward through all layers of a model with dense parameters.
struct LayerwiseForward: ~Copyable {
  private var layer: LayerGradient<Float>
  private let layerCount: Int

  /// A forward pass of sequences of `tokenCount` tokens.
  init(_ configuration: Configuration, tokenCount: Int, _ algebra: LinearAlgebra) {
    layer = LayerGradient(configuration, tokenCount: tokenCount, algebra)
    layerCount = configuration.layerCount
  }

  /// Replaces the embeddings of sequences by the residual streams behind the last layer.
  ///
  /// - Parameters:
  ///   - states: The streams, changed.
  ///   - parameters: The parameters of a layer; asked for once.
  ///   - progress: Called after each sequence and layer; throws to stop.
  /// - Throws: What the closures throw, `FileError`.
  mutating func run(
    _ states: inout HiddenStates, parameters: (_ layer: Int) throws -> LayerParameters<Float>,
    progress: () throws -> Void
  ) throws {
    var stream = Buffer<Float>(count: states.sampleSize)
    for index in 0..<layerCount {
      let parameters = try parameters(index)
      for sequence in 0..<states.sampleCount {
        try states.read(sequence, into: &stream)
        layer.forward(stream, parameters)
        try states.write(sequence, from: layer.output)
        try progress()
      }
    }
  }
}
