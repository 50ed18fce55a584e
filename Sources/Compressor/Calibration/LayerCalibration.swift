package import DuetRuntime
internal import DuetSystem

/// Runs the calibration samples through decoder layers, one layer at a time.
///
/// ```swift
/// var calibration = LayerCalibration(model.configuration, contextLength: 2048, algebra)
/// try calibration.embed(samples, with: model, into: &states)
/// for (index, layer) in model.layers.enumerated() {
///   var hessians = try calibration.hessians(of: layer, index: index, inputs: states)
///   ... compress ...
///   try calibration.advance(&states, through: compressed, index: index)
/// }
/// ```
///
/// Memory: the activations of one sample, and the Hessians in double precision while they are collected.
/// The result depends neither on the number of threads nor on where the states are kept.
package struct LayerCalibration: ~Copyable {
  private var pass: DecoderLayerPass
  /// The residual stream of one sample, (contextLength, hiddenSize).
  private(set) var hidden: Buffer<Float>
  /// The threads to compute with.
  let algebra: LinearAlgebra
  /// How much each token counts in Hessians and cross moments, or nil when all count the same.
  var weights: TokenWeights?

  /// How the caller follows and stops a run of the samples.
  package struct Control {
    /// Called after every sample with the number of tokens that the current call has done.
    package var progress: (_ tokenCount: Int) -> Void
    /// Called before every sample; if it returns true, `LayerCalibrationError.cancelled` is thrown.
    package var isCancelled: () -> Bool

    /// A control; by default it does nothing and never stops a run.
    package init(
      progress: @escaping (_ tokenCount: Int) -> Void = { _ in },
      isCancelled: @escaping () -> Bool = { false }
    ) {
      self.progress = progress
      self.isCancelled = isCancelled
    }
  }

  /// A calibration of layers with these sizes.
  ///
  /// - Parameters:
  ///   - configuration: The sizes of the layers.
  ///   - contextLength: The number of tokens of a sample.
  ///   - kernelSet: The kernels of the forward pass.
  ///   - algebra: The threads to compute with.
  package init(
    _ configuration: Configuration, contextLength: Int, kernelSet: KernelSet = .standard,
    _ algebra: LinearAlgebra
  ) {
    pass = DecoderLayerPass(
      configuration, contextLength: contextLength, kernelSet: kernelSet, pool: algebra.pool)
    hidden = Buffer(count: contextLength * configuration.hiddenSize)
    self.algebra = algebra
  }

  /// Sets `states` to the inputs of the first layer: the embeddings of the samples.
  ///
  /// - Throws: `LayerCalibrationError.model` when a token is not in the vocabulary, `.file` when the states
  ///   cannot be written.
  package mutating func embed(
    _ samples: CalibrationSamples, with model: Model, into states: inout HiddenStates
  ) throws(LayerCalibrationError) {
    precondition(
      samples.sampleCount == states.sampleCount && samples.contextLength == states.contextLength,
      "\(samples.sampleCount) samples of \(samples.contextLength) tokens into states of "
        + "\(states.sampleCount) x \(states.contextLength)")
    check(states)
    for sample in 0..<samples.sampleCount {
      do throws(GenerationError) {
        try model.embed(samples.tokens(of: sample), into: &hidden)
      } catch {
        throw .model(error)
      }
      try write(sample, to: &states, from: hidden)
    }
  }

  /// The Hessians of the layer's inputs, when `states` enter the layer.
  ///
  /// - Parameters:
  ///   - layer: The weights.
  ///   - index: Which layer it is, for errors.
  ///   - states: The residual streams before the layer.
  ///   - control: How the caller follows and stops the run.
  /// - Returns: The means over all tokens of all samples.
  /// - Throws: `LayerCalibrationError`.
  package mutating func hessians(
    of layer: DecoderLayer, index: Int, inputs states: borrowing HiddenStates,
    control: Control = Control()
  ) throws(LayerCalibrationError) -> LayerHessians {
    check(states)
    var sums = LayerHessianAccumulators(configuration, layer: index, weights: weights, algebra)
    try forEachSample(states.sampleCount, control) {
      calibration, sample throws(LayerCalibrationError) in
      calibration.algebra.clock.begin(.originalForward)
      defer { calibration.algebra.clock.end() }
      try calibration.read(sample, of: states)
      sums.sample = sample
      try calibration.run(layer, into: &sums, endsBefore: .down)
    }
    return sums.finish()
  }

  /// Runs `states` through the layer.
  ///
  /// - Parameters:
  ///   - states: The residual streams before the layer, replaced by those after it.
  ///   - layer: The weights.
  ///   - index: Which layer it is, for errors.
  ///   - activationType: The type of the activations that packed matrices multiply.
  ///   - control: How the caller follows and stops the run.
  /// - Throws: `LayerCalibrationError`; some of the states are then before the layer and some after it,
  ///   and must be restored from where they were saved.
  package mutating func advance(
    _ states: inout HiddenStates, through layer: DecoderLayer, index: Int,
    activationType: ActivationType = .f32, control: Control = Control()
  ) throws(LayerCalibrationError) {
    check(states)
    pass.prepare(for: layer, type: activationType)
    try forEachSample(states.sampleCount, control) {
      calibration, sample throws(LayerCalibrationError) in
      calibration.algebra.clock.begin(.compressedForward)
      defer { calibration.algebra.clock.end() }
      try calibration.read(sample, of: states)
      calibration.run(layer) { _, _, _, _ in }
      try calibration.writeAdvanced(sample, to: &states, index: index)
    }
  }

  /// Runs `states` through the layer, and collects its Hessians on the way.
  ///
  /// - Parameters:
  ///   - layer: The weights.
  ///   - index: Which layer it is, for errors.
  ///   - states: The residual streams before the layer, replaced by those after it.
  ///   - control: How the caller follows and stops the run.
  /// - Returns: The means over all tokens of all samples.
  /// - Throws: `LayerCalibrationError`; some of the states are then before the layer and some after it.
  package mutating func hessians(
    of layer: DecoderLayer, index: Int, advancing states: inout HiddenStates,
    control: Control = Control()
  ) throws(LayerCalibrationError) -> LayerHessians {
    check(states)
    var sums = LayerHessianAccumulators(configuration, layer: index, weights: weights, algebra)
    try forEachSample(states.sampleCount, control) {
      calibration, sample throws(LayerCalibrationError) in
      calibration.algebra.clock.begin(.originalForward)
      defer { calibration.algebra.clock.end() }
      try calibration.read(sample, of: states)
      sums.sample = sample
      try calibration.run(layer, into: &sums, endsBefore: nil)
      try calibration.writeAdvanced(sample, to: &states, index: index)
    }
    return sums.finish()
  }

  // MARK: - Samples

  /// Calls `body` with every sample; `control` follows and stops the run.
  mutating func forEachSample(
    _ count: Int, _ control: Control,
    _ body: (_ calibration: inout LayerCalibration, _ sample: Int) throws(LayerCalibrationError)
      -> Void
  ) throws(LayerCalibrationError) {
    for sample in 0..<count {
      if control.isCancelled() { throw .cancelled }
      try body(&self, sample)
      control.progress((sample + 1) * pass.tokenLimit)
    }
  }

  /// The sizes of the layers.
  var configuration: Configuration { pass.configuration }

  /// Runs the sample in `hidden` through a layer, or through the part of it before the input `last`.
  mutating func run<Failure: Error>(
    _ layer: DecoderLayer, endsBefore last: LinearInput? = nil,
    _ observe: (_ input: LinearInput, _ rows: Span<Float>, _ stride: Int, _ tokenCount: Int)
      throws(Failure) -> Void
  ) throws(Failure) {
    try pass.run(layer, &hidden, tokenCount: pass.tokenLimit, endsBefore: last, observe: observe)
  }

  /// Makes memory for the products of the compressed layer.
  mutating func prepare(for layers: ComparedLayers) {
    pass.prepare(for: layers.compressed, type: layers.activationType)
  }

  /// Computes an input of a layer from the sample in `hidden`, and shows its rows.
  mutating func compute(
    _ input: LinearInput, of layer: DecoderLayer,
    _ body: (_ rows: Span<Float>, _ stride: Int) -> Void
  ) {
    pass.compute(input, of: layer, from: hidden, body)
  }

  /// Sets an input to rows without gaps.
  mutating func restore(_ input: LinearInput, _ rows: borrowing Buffer<Float>) {
    pass.restore(input, rows)
  }

  /// Adds the product of the input, which was computed or restored last, and its matrix to `hidden`.
  mutating func addProduct(of input: LinearInput, of layer: DecoderLayer) {
    pass.addProduct(of: input, of: layer, to: &hidden)
  }

  /// Checks that states have the sizes of this calibration.
  func check(_ states: borrowing HiddenStates) {
    precondition(
      states.contextLength == pass.tokenLimit
        && states.hiddenSize == pass.configuration.hiddenSize,
      "states of (\(states.contextLength), \(states.hiddenSize)) in a calibration of "
        + "(\(pass.tokenLimit), \(pass.configuration.hiddenSize))")
  }

  private mutating func run(
    _ layer: DecoderLayer, into sums: inout LayerHessianAccumulators, endsBefore last: LinearInput?
  ) throws(LayerCalibrationError) {
    let clock = algebra.clock
    do throws(CompressionDataError) {
      try run(layer, endsBefore: last) {
        input, rows, stride, tokenCount throws(CompressionDataError) in
        clock.begin(.hessians)
        defer { clock.end() }
        try sums.add(input, rows, stride: stride, tokenCount: tokenCount)
      }
    } catch {
      throw .compressor(error)
    }
  }

  /// Copies the residual stream of a sample to `hidden`.
  mutating func read(
    _ sample: Int, of states: borrowing HiddenStates
  ) throws(LayerCalibrationError) {
    try wrapping(LayerCalibrationError.file) { () throws(FileError) in
      try states.read(sample, into: &hidden)
    }
  }

  /// Copies the states of a sample to `target`.
  func read(
    _ sample: Int, of states: borrowing HiddenStates, into target: inout Buffer<Float>
  ) throws(LayerCalibrationError) {
    try wrapping(LayerCalibrationError.file) { () throws(FileError) in
      try states.read(sample, into: &target)
    }
  }

  /// Replaces the states of a sample.
  func write(
    _ sample: Int, to states: inout HiddenStates, from source: borrowing Buffer<Float>
  ) throws(LayerCalibrationError) {
    try wrapping(LayerCalibrationError.file) { () throws(FileError) in
      try states.write(sample, from: source)
    }
  }

  /// Writes `hidden`, which has run through a part of the layer, if it is finite.
  mutating func writeAdvanced(
    _ sample: Int, to states: inout HiddenStates, index: Int
  ) throws(LayerCalibrationError) {
    guard pass.isFinite(hidden, count: hidden.count) else {
      throw .compressor(.nonFiniteActivations(layer: index, input: "the next layer"))
    }
    try write(sample, to: &states, from: hidden)
  }
}
