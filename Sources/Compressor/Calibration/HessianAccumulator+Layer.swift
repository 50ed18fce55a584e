internal import DuetRuntime
internal import DuetSystem

/// The sums for the four inputs of a decoder layer.
struct LayerHessianAccumulators: ~Copyable {
  private var attention: HessianAccumulator
  private var attentionOutput: HessianAccumulator
  private var feedForward: HessianAccumulator
  private var down: HessianAccumulator
  /// The sample whose rows are added.
  var sample = 0

  private let layer: Int
  private let weights: TokenWeights?
  private let algebra: LinearAlgebra

  /// Empty sums for the layer of index `layer`, in which tokens have weights or count the same.
  init(
    _ configuration: Configuration, layer: Int, weights: TokenWeights?, _ algebra: LinearAlgebra
  ) {
    self.layer = layer
    self.weights = weights
    self.algebra = algebra
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
    guard let weights else {
      return try addRows(input, rows, stride: stride, tokenCount: tokenCount)
    }
    let scaled = Buffer<Float>(count: tokenCount * stride)
    unsafe rows.withUnsafeBufferPointer { rows in
      guard let base = rows.baseAddress else { return }
      unsafe scaled.pointer.update(from: base, count: min(rows.count, scaled.count))
    }
    weights.scale(scaled, width: stride, input, layer: layer, sample: sample, algebra)
    try addRows(input, scaled.span, stride: stride, tokenCount: tokenCount)
  }

  private mutating func addRows(
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
