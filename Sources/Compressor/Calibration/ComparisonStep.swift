internal import DuetRuntime
internal import DuetSystem

/// The comparison of two models at an input of a layer, sample by sample.
struct ComparisonStep: ~Copyable {
  /// The input.
  let input: LinearInput
  /// The layer in both models.
  let layers: ComparedLayers
  /// Which layer it is, for errors.
  let index: Int
  /// The input of the compressed model for one sample, (tokens, size of the input), without gaps; it may be
  /// longer.
  var inputs: Buffer<Float>

  /// The number of inputs.
  private let size: Int
  /// The size of the residual stream.
  private let width: Int
  private let tokenCount: Int
  private let algebra: LinearAlgebra
  /// What the models are compared by, the original minus the compressed one, (tokens, hiddenSize).
  private var difference: Buffer<Float>
  private var sum: HessianAccumulator
  private var moment: CrossMoment

  /// A comparison without samples; `count` is the number of values of a sample's residual stream.
  init(
    _ input: LinearInput, _ layers: ComparedLayers, _ index: Int, _ configuration: Configuration,
    tokenCount count: Int, _ algebra: LinearAlgebra
  ) {
    self.input = input
    self.layers = layers
    self.index = index
    self.algebra = algebra
    size = input.size(configuration)
    width = configuration.hiddenSize
    tokenCount = count / width
    // The outputs of the heads are read back before the input behind their matrix is computed.
    inputs = Buffer(
      count: tokenCount * max(size, LinearInput.attentionOutput.size(configuration)))
    difference = Buffer(count: count)
    sum = HessianAccumulator(size: size, layer: index, input: input.matrixNames, algebra)
    moment = CrossMoment(rowCount: width, columnCount: size, algebra)
  }

  /// Sets the difference to rows of the original model.
  mutating func set(_ rows: Span<Float>, _ stride: Int) {
    Self.copy(rows, stride, to: &difference, width: width, tokenCount)
    // A bias is no part of what the product with the weights should be.
    guard
      let bias = input == .attentionOutput
        ? layers.original.attentionOutputBias
        : input == .down ? layers.original.downBias : nil
    else { return }
    for token in 0..<tokenCount {
      for column in 0..<width { difference[token * width + column] -= bias[column] }
    }
  }

  /// Sets the inputs to rows of the compressed model.
  mutating func setInputs(_ rows: Span<Float>, _ stride: Int) {
    Self.copy(rows, stride, to: &inputs, width: size, tokenCount)
  }

  /// Subtracts the inputs from the difference.
  mutating func subtractInputs() { Self.subtract(inputs, from: difference, algebra) }

  /// Subtracts a residual stream from the difference.
  mutating func subtract(_ stream: borrowing Buffer<Float>) {
    Self.subtract(stream, from: difference, algebra)
  }

  /// Adds the products of a sample's tokens; with weights, the inputs and the difference are changed.
  mutating func add(
    _ sample: Int, weights: TokenWeights?
  ) throws(LayerCalibrationError) {
    let clock = algebra.clock
    clock.begin(.hessians)
    weights?.scale(inputs, width: size, input, layer: index, sample: sample, algebra)
    weights?.scale(difference, width: width, input, layer: index, sample: sample, algebra)
    do throws(CompressionDataError) {
      defer { clock.end() }
      try sum.add(inputs, tokenCount: tokenCount)
    } catch {
      throw .compressor(error)
    }
    clock.begin(.crossMoments)
    defer { clock.end() }
    moment.add(difference, inputs, tokenCount: tokenCount)
  }

  /// The means over all samples.
  consuming func finish() -> InputComparison {
    let algebra = algebra
    algebra.clock.begin(.hessians)
    defer { algebra.clock.end() }
    return InputComparison(hessian: sum.finish(), moment: moment.finish(algebra))
  }

  private static func copy(
    _ rows: Span<Float>, _ stride: Int, to target: inout Buffer<Float>, width: Int,
    _ tokenCount: Int
  ) {
    precondition(
      rows.count >= (tokenCount - 1) * stride + width && target.count >= tokenCount * width,
      "\(rows.count) numbers for \(tokenCount) rows of \(width), \(stride) apart")
    unsafe rows.withUnsafeBufferPointer { rows in
      guard let base = rows.baseAddress else { return }
      for token in 0..<tokenCount {
        unsafe (target.pointer + token * width).update(from: base + token * stride, count: width)
      }
    }
  }

  private static func subtract(
    _ a: borrowing Buffer<Float>, from b: borrowing Buffer<Float>, _ algebra: LinearAlgebra
  ) {
    precondition(a.count >= b.count, "\(a.count) numbers from \(b.count)")
    let (x, y) = unsafe (a.pointer, b.pointer)
    algebra.forEachChunk(b.count) { range in
      for index in range { unsafe y[index] -= x[index] }
    }
  }
}
