package import DuetRuntime
internal import DuetSystem

/// The measurements of a layer's input in the original and the compressed model.
package struct InputComparison: ~Copyable {
  /// The second moment of the input in the compressed model.
  package var hessian: Hessian
  /// E[t x^T] transposed, (input size, hiddenSize), for `WeightCorrection`.
  package var moment: Matrix<Double>
}

/// A layer of the original model and of the compressed one.
package struct ComparedLayers {
  /// The layer of the original model.
  let original: DecoderLayer
  /// The layer of the compressed model; a step needs only the matrices before its input.
  let compressed: DecoderLayer
  /// The type of the activations that packed matrices of the compressed layer multiply.
  let activationType: ActivationType

  /// The layer in both models.
  package init(
    original: DecoderLayer, compressed: DecoderLayer, activationType: ActivationType = .f32
  ) {
    self.original = original
    self.compressed = compressed
    self.activationType = activationType
  }
}

extension LayerCalibration {
  /// Takes the streams of both models to an input of a layer and compares the models there.
  ///
  /// The streams are at the input before it, or at the end of the last layer. What is compared:
  ///
  /// - At the normalised residual stream: x0 - x, of the original and the compressed model.
  /// - At the outputs of the heads, and at the gated values: the residual stream of the original model behind
  ///   the matrix, minus that of the compressed model before it and minus the bias of the matrix. This is what
  ///   the product of the matrix and x should be. It does not depend on the weights of the matrix.
  ///
  /// - Parameters:
  ///   - input: Which input.
  ///   - layers: The layer in both models; the compressed one needs the matrices before the input.
  ///   - index: Which layer it is, for errors.
  ///   - streams: The streams, which are changed.
  ///   - isMeasured: Whether the models are compared; if not, the streams only go on.
  ///   - control: How the caller follows and stops the run.
  /// - Returns: The means over all tokens of all samples, or nil without a comparison.
  /// - Throws: `LayerCalibrationError`; the streams are then of no use.
  /// - Complexity: The products between the two inputs, once in each model, and the sums of products.
  package mutating func advance(
    to input: LinearInput, of layers: ComparedLayers, index: Int, _ streams: inout ComparedStreams,
    isMeasured: Bool = true, control: Control = Control()
  ) throws(LayerCalibrationError) -> InputComparison? {
    check(streams.original)
    check(streams.compressed)
    // Nothing is multiplied before the first input.
    if input == .attention, !isMeasured { return nil }
    prepare(for: layers)
    var step = ComparisonStep(
      input, layers, index, configuration, tokenCount: hidden.count, algebra)
    try forEachSample(streams.original.sampleCount, control) {
      calibration, sample throws(LayerCalibrationError) in
      try calibration.advanceOriginal(sample, &step, &streams)
      try calibration.advanceCompressed(sample, &step, &streams)
      if isMeasured { try step.add(sample, weights: calibration.weights) }
    }
    return isMeasured ? step.finish() : nil
  }

  /// Takes the stream of the compressed model from the input of the down matrix to the end of the layer; that
  /// of the original model is there already.
  ///
  /// - Parameters:
  ///   - layers: The layer, with all its compressed matrices.
  ///   - index: Which layer it is, for errors.
  ///   - streams: The streams, which are changed.
  ///   - control: How the caller follows and stops the run.
  /// - Throws: `LayerCalibrationError`; the streams are then of no use.
  package mutating func finish(
    _ layers: ComparedLayers, index: Int, _ streams: inout ComparedStreams,
    control: Control = Control()
  ) throws(LayerCalibrationError) {
    prepare(for: layers)
    let size = LinearInput.down.size(configuration)
    var inputs = Buffer<Float>(count: streams.compressed.contextLength * size)
    try forEachSample(streams.compressed.sampleCount, control) {
      calibration, sample throws(LayerCalibrationError) in
      try calibration.read(sample, of: streams.compressed)
      calibration.algebra.clock.begin(.compressedForward)
      defer { calibration.algebra.clock.end() }
      switch streams.gated {
      case .some(let gated):
        try calibration.read(sample, of: gated, into: &inputs)
        calibration.restore(.down, inputs)
      case .none: calibration.compute(.down, of: layers.compressed) { _, _ in }
      }
      calibration.addProduct(of: .down, of: layers.compressed)
      try calibration.writeAdvanced(sample, to: &streams.compressed, index: index)
    }
  }

  // MARK: - One sample

  /// Takes the original stream of a sample to the input, and what it is compared by to `step.difference`.
  private mutating func advanceOriginal(
    _ sample: Int, _ step: inout ComparisonStep, _ streams: inout ComparedStreams
  ) throws(LayerCalibrationError) {
    let (input, layer) = (step.input, step.layers.original)
    algebra.clock.begin(.originalForward)
    defer { algebra.clock.end() }
    try read(sample, of: streams.original)
    if input.isComparedItself {
      compute(input, of: layer) { rows, stride in step.set(rows, stride) }
    } else {
      compute(input, of: layer) { _, _ in }
      addProduct(of: input, of: layer)
      step.set(hidden.span, configuration.hiddenSize)
      try writeAdvanced(sample, to: &streams.original, index: step.index)
    }
  }

  /// Takes the compressed stream of a sample to the input, and subtracts what it is compared by.
  private mutating func advanceCompressed(
    _ sample: Int, _ step: inout ComparisonStep, _ streams: inout ComparedStreams
  ) throws(LayerCalibrationError) {
    let (input, layer) = (step.input, step.layers.compressed)
    algebra.clock.begin(.compressedForward)
    defer { algebra.clock.end() }
    try read(sample, of: streams.compressed)
    if input == .feedForward {
      try read(sample, of: streams.attended, into: &step.inputs)
      restore(.attentionOutput, step.inputs)
      addProduct(of: .attentionOutput, of: layer)
      try writeAdvanced(sample, to: &streams.compressed, index: step.index)
    }
    compute(input, of: layer) { rows, stride in step.setInputs(rows, stride) }
    if input.isComparedItself {
      step.subtractInputs()
    } else {
      step.subtract(hidden)
      if input == .attentionOutput {
        try write(sample, to: &streams.attended, from: step.inputs)
      } else {
        try wrapping(LayerCalibrationError.file) { () throws(FileError) in
          try streams.gated?.write(sample, from: step.inputs)
        }
      }
    }
  }
}

extension LinearInput {
  /// Whether both models are compared at the input itself, and not behind its matrix.
  ///
  /// True for inputs that are the normalised residual stream. The others are compared in the residual
  /// stream, to which the output of their matrix is added.
  var isComparedItself: Bool { norm != nil }

  /// The matrices that multiply the input, for messages: "gate_proj and up_proj".
  var matrixNames: String {
    let names = matrices.map(\.shortName)
    guard let last = names.last, names.count > 1 else { return names.joined() }
    return "\(names.dropLast().joined(separator: ", ")) and \(last)"
  }
}
