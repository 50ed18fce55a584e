internal import DuetRuntime

/// The residual streams of the samples, which run through one layer after the other.
///
/// The kinds of propagation differ in the streams that there are and in how inputs are measured:
///
/// ```
///                           corrected                 compressed         original
/// streams                   of both models            of the compressed  of the original
/// inputs are measured       one after the other       all four at once   all four at once
///     by running samples    the original and the      the original       the original
///     through               partly compressed layer   layer              layer
/// then the streams run      each the layer of its     the compressed     no layer: measuring
///     through               own model                 layer              did that already
/// ```
struct SampleStreams<Observer: CompressionObserver>: ~Copyable {
  /// The index of the layer whose inputs the streams are.
  private(set) var layer: Int

  private let context: CompressionContext
  private let rotation: MatrixRotation?
  private let observer: Observer
  private let control: LayerCalibration.Control
  private var calibration: LayerCalibration
  /// The streams from which the inputs of later layers are computed.
  private var hidden: HiddenStates
  /// The streams of the original model, or nil unless matrices are corrected.
  private var original: HiddenStates?
  /// Whether `hidden` has run through the layer already, while its inputs were measured.
  private var isThroughLayer = false

  /// The streams before the last layer for which the journal has them, or before the first layer.
  ///
  /// - Parameters:
  ///   - context: The model, the plan and the options.
  ///   - rotation: The rotations of the compressed matrices, or nil.
  ///   - samples: The samples.
  ///   - journal: Where streams may have been saved.
  ///   - end: The first layer that is not finished. Streams that were saved for later layers are of no use:
  ///     they were computed from a matrix that has been lost since.
  ///   - observer: Is told of the progress and may stop the run.
  /// - Throws: `LayerCalibrationError`, `HiddenStatesError`, errors of files.
  init(
    _ context: CompressionContext, _ rotation: MatrixRotation?, _ samples: CalibrationSamples,
    _ journal: Journal, notAfter end: Int, _ observer: Observer
  ) throws {
    let configuration = context.model.configuration
    let saved = try journal.lastHiddenStates() ?? 0
    let start = saved > 0 && saved <= end ? saved : 0
    var calibration = LayerCalibration(
      configuration, contextLength: samples.contextLength, context.algebra)
    func states(
      _ stream: Journal.Stream, _ calibration: inout LayerCalibration
    ) throws -> HiddenStates {
      let (folder, limit) = (journal.output.statePath, context.options.hiddenStatesLimit)
      if start > 0 {
        return try HiddenStates.restored(
          from: journal.hiddenStatesPath(layer: start, of: stream),
          sampleCount: samples.sampleCount, contextLength: samples.contextLength,
          hiddenSize: configuration.hiddenSize, memoryLimit: limit, folder: folder,
          run: journal.run)
      }
      var states = try HiddenStates(
        sampleCount: samples.sampleCount, contextLength: samples.contextLength,
        hiddenSize: configuration.hiddenSize, memoryLimit: limit, folder: folder)
      // The stream of the original model begins with the original embedding.
      let isOriginal = stream == .original || context.plan.propagation == .original
      let model = isOriginal ? context.model : context.withCompressedEmbedding ?? context.model
      try calibration.embed(samples, with: model, into: &states)
      return states
    }
    let total = samples.sampleCount * samples.contextLength
    original =
      context.plan.propagation == .corrected ? try states(.original, &calibration) : nil
    hidden = try states(.hidden, &calibration)
    layer = start
    control = LayerCalibration.Control(
      progress: { observer.progressed($0, of: total) }, isCancelled: { observer.isCancelled })
    self.calibration = calibration
    self.context = context
    self.rotation = rotation
    self.observer = observer
  }

  // MARK: - Measuring

  /// The inputs of a layer in the order in which they are measured; each group is measured at once.
  var measuredTogether: [[LinearInput]] {
    switch context.plan.propagation {
    case .corrected: LinearInput.allCases.map { [$0] }
    case .compressed, .original: [LinearInput.allCases]
    }
  }

  /// Measures inputs of the layer.
  ///
  /// - Parameters:
  ///   - inputs: An element of `measuredTogether`.
  ///   - linears: The matrices that multiply them, at least one.
  ///   - finished: The matrices of the layer that are compressed already.
  /// - Returns: The Hessians of the inputs, and the correction of the matrices if there is one.
  /// - Throws: `LayerCalibrationError`, `CompressionDataError`, errors of the checkpoint.
  mutating func measure(
    _ inputs: [LinearInput], of linears: [LayerLinears.Linear], finished: [CompressedLinear]
  ) throws -> LayerMeasurement {
    observer.phaseBegan(.calibrating(layer: layer))
    let weights = context.model.layers[layer]
    switch context.plan.propagation {
    case .compressed:
      return LayerMeasurement(
        hessians: try calibration.hessians(
          of: weights, index: layer, inputs: hidden, control: control))
    case .original:
      isThroughLayer = true
      return LayerMeasurement(
        hessians: try calibration.hessians(
          of: weights, index: layer, advancing: &hidden, control: control))
    case .corrected:
      let layers = ComparedLayers(original: weights, compressed: try decompressed(finished))
      return try LayerMeasurement(
        comparison(of: inputs[0], layers), inputs[0], name: linears[0].name, context)
    }
  }

  /// Compares an input in both models.
  private mutating func comparison(
    of input: LinearInput, _ layers: ComparedLayers
  ) throws(LayerCalibrationError) -> InputComparison {
    switch original {
    case .none: preconditionFailure("corrections without the streams of the original model")
    case .some(let original):
      return try calibration.comparison(
        of: input, layers, index: layer, original: original, compressed: hidden, control: control)
    }
  }

  // MARK: - Advancing

  /// Runs the streams through the layer and saves them before the next.
  ///
  /// - Parameters:
  ///   - finished: All compressed matrices of the layer.
  ///   - journal: Where the streams are saved; those before earlier layers are removed.
  /// - Throws: `LayerCalibrationError`, errors of the checkpoint and of files.
  mutating func advance(past finished: [CompressedLinear], _ journal: Journal) throws {
    let weights = context.model.layers[layer]
    if var states = original.take() {
      observer.phaseBegan(.advancing(layer: layer))
      try calibration.advance(&states, through: weights, index: layer, control: control)
      original = consume states
    }
    if !isThroughLayer {
      let isOriginal = context.plan.propagation == .original
      let weights = isOriginal ? weights : try decompressed(finished)
      observer.phaseBegan(.advancing(layer: layer))
      try calibration.advance(&hidden, through: weights, index: layer, control: control)
    }
    isThroughLayer = false
    layer += 1
    // The stream that a resumed run looks for is saved last.
    let operations = journal.output.operations
    try original?.save(
      to: journal.hiddenStatesPath(layer: layer, of: .original), run: journal.run,
      operations: operations)
    try hidden.save(
      to: journal.hiddenStatesPath(layer: layer), run: journal.run, operations: operations)
    try journal.removeHiddenStates(before: layer)
  }

  /// The layer with its finished matrices decompressed, and all other tensors of the original.
  private func decompressed(_ finished: [CompressedLinear]) throws -> DecoderLayer {
    let (checkpoint, configuration) = (context.checkpoint, context.model.configuration)
    let reconstruction = DenseReconstruction(
      context.algebra, context.plan.compressedFormat, rotation)
    var tensors: [StoredTensor] = []
    for linear in finished {
      let weight = try reconstruction.weight(of: linear, configuration)
      tensors.append(try weight.storedTensor(named: "\(linear.record.name).weight"))
      tensors += linear.replacements(in: checkpoint)
    }
    let replaced = Set(tensors.map(\.name))
    let prefix = LayerTensors.prefix(layer: layer)
    for name in checkpoint.names where name.hasPrefix(prefix) && !replaced.contains(name) {
      if let tensor = try checkpoint.tensor(named: name) { tensors.append(tensor) }
    }
    return try DecoderLayer(
      Checkpoint(configuration: configuration, tensors: tensors), index: layer)
  }
}

/// The measurements of inputs of a layer that their matrices are compressed with.
struct LayerMeasurement: ~Copyable {
  /// The Hessians of the inputs.
  let hessians: LayerHessians
  /// The correction that is applied to the matrices first, or nil.
  let correction: WeightCorrection?

  /// A measurement in one model.
  init(hessians: consuming LayerHessians) {
    self.hessians = hessians
    correction = nil
  }

  /// A measurement of one input in both models.
  ///
  /// - Throws: `CompressionDataError`.
  init(
    _ comparison: consuming InputComparison, _ input: LinearInput, name: String,
    _ context: CompressionContext
  ) throws(CompressionDataError) {
    let hessian = comparison.hessian
    // Inputs that are all zero have no effect, whatever the weights are.
    correction =
      hessian.isZero
      ? nil
      : try WeightCorrection(
        moment: comparison.moment, hessian: hessian.matrix, input: input, name: name,
        damping: context.plan.damping, context.algebra)
    var hessians = LayerHessians()
    hessians.put(hessian, input)
    self.hessians = hessians
  }
}
