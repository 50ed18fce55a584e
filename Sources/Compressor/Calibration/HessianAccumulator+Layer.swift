internal import DuetRuntime

/// The sums for the four inputs of a decoder layer.
struct LayerHessianAccumulators: ~Copyable {
  private var attention: HessianAccumulator
  private var attentionOutput: HessianAccumulator
  private var feedForward: HessianAccumulator
  private var down: HessianAccumulator

  /// Empty sums for the layer of index `layer`.
  init(_ configuration: Configuration, layer: Int, _ algebra: LinearAlgebra) {
    func accumulator(_ input: LinearInput) -> HessianAccumulator {
      HessianAccumulator(
        size: input.size(configuration), layer: layer, input: input.matrixNames, algebra)
    }
    attention = accumulator(.attention)
    attentionOutput = accumulator(.attentionOutput)
    feedForward = accumulator(.feedForward)
    down = accumulator(.down)
  }

  /// Adds the rows that reach `input`.
  mutating func add(
    _ input: LinearInput, _ rows: Span<Float>, stride: Int, tokenCount: Int
  ) throws(CompressionDataError) {
    switch input {
    case .attention: try attention.add(rows, stride: stride, tokenCount: tokenCount)
    case .attentionOutput: try attentionOutput.add(rows, stride: stride, tokenCount: tokenCount)
    case .feedForward: try feedForward.add(rows, stride: stride, tokenCount: tokenCount)
    case .down: try down.add(rows, stride: stride, tokenCount: tokenCount)
    }
  }

  /// Ends the sums and returns the means.
  consuming func finish() -> LayerHessians {
    LayerHessians(
      attention: attention.finish(), attentionOutput: attentionOutput.finish(),
      feedForward: feedForward.finish(), down: down.finish())
  }
}
