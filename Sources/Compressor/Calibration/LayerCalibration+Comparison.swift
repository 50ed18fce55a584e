package import DuetRuntime
internal import DuetSystem

/// The measurements of a layer's input in the original and the compressed model.
package struct InputComparison: ~Copyable {
  /// The second moment of the input in the compressed model.
  package var hessian: Hessian
  /// E[d x^T] transposed, for `WeightCorrection`.
  package var moment: Matrix<Double>
}

/// A layer of the original model and of the compressed one.
package struct ComparedLayers {
  /// The layer of the original model.
  let original: DecoderLayer
  /// The layer with the matrices that are compressed so far.
  let compressed: DecoderLayer

  /// The layer in both models.
  package init(original: DecoderLayer, compressed: DecoderLayer) {
    self.original = original
    self.compressed = compressed
  }
}

extension LayerCalibration {
  /// Compares an input of a layer in both models.
  ///
  /// - Parameters:
  ///   - input: Which input.
  ///   - layers: The layer in both models; the matrices of `input` have the same weights in both.
  ///   - index: Which layer it is, for errors.
  ///   - originalStates: The residual streams of the original model before the layer.
  ///   - compressedStates: The residual streams of the compressed model before the layer.
  ///   - control: How the caller follows and stops the run.
  /// - Returns: The means over all tokens of all samples.
  /// - Throws: `LayerCalibrationError`.
  /// - Complexity: Two passes through the layer, as far as the point of comparison, and the sums of products.
  package mutating func comparison(
    of input: LinearInput, _ layers: ComparedLayers, index: Int,
    original originalStates: borrowing HiddenStates,
    compressed compressedStates: borrowing HiddenStates, control: Control = Control()
  ) throws(LayerCalibrationError) -> InputComparison {
    check(originalStates)
    check(compressedStates)
    let (width, size) = (configuration.hiddenSize, input.size(configuration))
    let tokens = originalStates.contextLength
    var difference = Buffer<Float>(count: tokens * width)
    var inputs = Buffer<Float>(count: tokens * size)
    var sums = HessianAccumulator(size: size, layer: index, input: input.matrixNames, algebra)
    var moment = CrossMoment(rowCount: width, columnCount: size, algebra)
    try forEachSample(originalStates.sampleCount, control) {
      calibration, sample throws(LayerCalibrationError) in
      for index in 0..<difference.count { difference[index] = 0 }
      try calibration.observe(input, layers.original, sample, of: originalStates, into: &inputs)
      calibration.add(1, input, inputs, to: &difference)
      try calibration.observe(input, layers.compressed, sample, of: compressedStates, into: &inputs)
      calibration.add(-1, input, inputs, to: &difference)
      do throws(CompressionDataError) {
        try sums.add(inputs.span, stride: size, tokenCount: tokens)
      } catch {
        throw .compressor(error)
      }
      moment.add(difference, inputs, tokenCount: tokens)
    }
    return InputComparison(hessian: sums.finish(), moment: moment.finish(algebra))
  }

  /// Runs a sample through a layer as far as the point of comparison, and keeps the values of `input`.
  private mutating func observe(
    _ input: LinearInput, _ layer: DecoderLayer, _ sample: Int, of states: borrowing HiddenStates,
    into inputs: inout Buffer<Float>
  ) throws(LayerCalibrationError) {
    try read(sample, of: states)
    let size = input.size(configuration)
    run(layer, endsBefore: input.isComparedItself ? input : input.next) {
      reached, rows, stride, tokenCount in
      guard reached == input else { return }
      for token in 0..<tokenCount {
        for column in 0..<size { inputs[token * size + column] = rows[token * stride + column] }
      }
    }
  }

  /// Adds scale * (the inputs, or the residual stream) to `difference`.
  private func add(
    _ scale: Float, _ input: LinearInput, _ inputs: borrowing Buffer<Float>,
    to difference: inout Buffer<Float>
  ) {
    let isComparedItself = input.isComparedItself
    for index in 0..<difference.count {
      difference[index] += scale * (isComparedItself ? inputs[index] : hidden[index])
    }
  }
}

extension LinearInput {
  /// Whether both models are compared at the input itself, and not after its matrix.
  ///
  /// True for inputs that are the normalised residual stream. The others are compared in the residual
  /// stream, after the output of their matrix was added.
  var isComparedItself: Bool { norm != nil }

  /// The input that comes after it in a layer, or nil.
  fileprivate var next: LinearInput? {
    LinearInput.allCases.drop { $0 != self }.dropFirst().first
  }

  /// The matrices that multiply the input, for messages: "gate_proj and up_proj".
  var matrixNames: String {
    let names = matrices.map(\.shortName)
    guard let last = names.last, names.count > 1 else { return names.joined() }
    return "\(names.dropLast().joined(separator: ", ")) and \(last)"
  }
}
