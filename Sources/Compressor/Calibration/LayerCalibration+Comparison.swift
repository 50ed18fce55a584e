package import DuetRuntime
internal import DuetSystem

/// What is measured of an input of a layer when both models run.
package struct InputComparison: ~Copyable {
  /// The second moment of the input as the compressed model sees it.
  package var hessian: Hessian
  /// E[d x^T] transposed, as `WeightCorrection` takes it.
  package var moment: Matrix<Double>
}

/// A layer of the original model and of the compressed one.
package struct ComparedLayers {
  /// The layer of the original model.
  let original: DecoderLayer
  /// The layer with those of its matrices compressed that are finished.
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
  /// - Complexity: Two passes over as much of the layer as lies before the input, and its products.
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

  /// Runs a sample through as much of a layer as has to be compared, and keeps what reaches `input`.
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

  /// difference += scale * (the inputs, or the residual stream).
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
  /// Whether both models are compared in the input itself, which a norm makes of the residual stream, and
  /// not in the stream that its matrix is added to.
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
