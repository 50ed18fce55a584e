package import DuetRuntime

/// What is measured of one input of a layer when the compressed model is compared with the original.
package struct InputComparison: ~Copyable {
  /// The second moment of the input as the compressed model sees it.
  package var hessian: Hessian
  /// E[d x^T] transposed, as `WeightCorrection` takes it.
  package var moment: Matrix<Double>
}

/// The residual streams before a layer, of the original model and of the compressed one.
package struct ComparedStates: ~Copyable {
  /// Those of the original model.
  package var original: HiddenStates
  /// Those of the compressed model.
  package var compressed: HiddenStates

  /// The streams of both models.
  package init(original: consuming HiddenStates, compressed: consuming HiddenStates) {
    self.original = original
    self.compressed = compressed
  }
}

/// A layer as the original model has it, and with those of its matrices compressed that are finished.
package struct ComparedLayers {
  let original: DecoderLayer
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
  ///   - states: The residual streams before the layer.
  ///   - control: What the caller hears and says.
  /// - Returns: The means over all tokens of all samples.
  /// - Throws: `LayerCalibrationError`.
  /// - Complexity: Two passes over as much of the layer as lies before the input, and its products.
  package mutating func comparison(
    of input: LinearInput, _ layers: ComparedLayers, index: Int,
    _ states: borrowing ComparedStates, control: Control = Control()
  ) throws(LayerCalibrationError) -> InputComparison {
    let (hidden, size) = (configuration.hiddenSize, input.size(configuration))
    let tokens = states.original.contextLength
    var difference = Buffer<Float>(count: tokens * hidden)
    var inputs = Buffer<Float>(count: tokens * size)
    var sums = HessianAccumulator(size: size, layer: index, input: input.matrixNames, algebra)
    var moment = CrossMoment(rowCount: hidden, columnCount: size, algebra)
    // What the input lacks shows in the input itself, or in the stream that its matrix writes to.
    let (comparesInputs, end): (Bool, LinearInput?) =
      switch input {
      case .attention: (true, .attention)
      case .attentionOutput: (false, .feedForward)
      case .feedForward: (true, .feedForward)
      case .down: (false, nil)
      }
    for sample in 0..<states.original.sampleCount {
      if control.isCancelled() { throw .cancelled }
      try observe(
        input, layers.original, sample, of: states.original, endsBefore: end, into: &inputs)
      for index in 0..<difference.count { difference[index] = 0 }
      add(1, comparesInputs, inputs, to: &difference)
      try observe(
        input, layers.compressed, sample, of: states.compressed, endsBefore: end, into: &inputs)
      add(-1, comparesInputs, inputs, to: &difference)
      do throws(CompressorError) {
        try sums.add(inputs.span, stride: size, tokenCount: tokens)
      } catch {
        throw .compressor(error)
      }
      moment.add(difference, inputs, tokenCount: tokens)
      control.progress((sample + 1) * tokens)
    }
    return InputComparison(hessian: sums.finish(), moment: moment.finish(algebra))
  }

  /// Runs one sample through a layer, or through its beginning, and keeps what reaches `input`.
  private mutating func observe(
    _ input: LinearInput, _ layer: DecoderLayer, _ sample: Int, of states: borrowing HiddenStates,
    endsBefore last: LinearInput?, into inputs: inout Buffer<Float>
  ) throws(LayerCalibrationError) {
    try read(sample, of: states)
    let size = input.size(configuration)
    runAndObserve(layer, endsBefore: last) { reached, rows, stride, tokenCount in
      guard reached == input else { return }
      for token in 0..<tokenCount {
        for column in 0..<size { inputs[token * size + column] = rows[token * stride + column] }
      }
    }
  }

  /// difference += scale * (the inputs, or the residual stream).
  private func add(
    _ scale: Float, _ comparesInputs: Bool, _ inputs: borrowing Buffer<Float>,
    to difference: inout Buffer<Float>
  ) {
    for index in 0..<difference.count {
      difference[index] += scale * (comparesInputs ? inputs[index] : hidden[index])
    }
  }
}

extension LinearInput {
  /// The matrices that multiply the input, for messages.
  var matrixNames: String {
    let names = matrices.map(\.shortName)
    guard let last = names.last, names.count > 1 else { return names.joined() }
    return "\(names.dropLast().joined(separator: ", ")) and \(last)"
  }
}
