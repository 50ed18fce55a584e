internal import DuetRuntime
internal import DuetSystem

/// The residual streams of the samples, which run through one layer after the other.
///
/// The kinds of propagation differ in the streams that there are and in how inputs are measured:
///
/// ```
///                           corrected                 compressed         original
/// streams                   of both models            of the compressed  of the original
/// inputs are measured       one after the other       all four at once   all four at once
///     by running samples    from one input to the     the original       the original
///     through               next, in both models      layer              layer
/// then the streams run      the rest of the           the compressed     no layer: measuring
///     through               compressed layer          layer              did that already
/// ```
struct SampleStreams<Observer: CompressionObserver>: ~Copyable {
  /// The index of the layer whose inputs the streams are.
  private(set) var layer: Int

  private let context: CompressionContext
  private let rotation: MatrixRotation?
  private let observer: Observer
  private let control: LayerCalibration.Control
  private var calibration: LayerCalibration
  /// The streams of one model, from which the inputs of later layers are computed; nil where matrices are
  /// corrected, and after a failure.
  private var hidden: HiddenStates?
  /// The streams of both models, where matrices are corrected.
  private var compared: ComparedStreams?
  private let clock = ContinuousClock()
  /// When the streams were saved last, and how many seconds that took.
  private var lastSave = ContinuousClock.now
  private var savingTime = 0.0
  /// The number of groups of inputs that `compared` has gone on to.
  private var passed = 0
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
    let folder = journal.output.statePath
    let sizes = SampleStateSizes(
      configuration, sampleCount: samples.sampleCount, contextLength: samples.contextLength,
      context.plan.propagation, limit: context.options.hiddenStatesLimit)
    var calibration = LayerCalibration(
      configuration, contextLength: samples.contextLength, context.algebra)
    let total = samples.sampleCount * samples.contextLength
    let control = LayerCalibration.Control(
      progress: { observer.progressed($0, of: total) }, isCancelled: { observer.isCancelled })
    if context.plan.metric == .guided {
      observer.phaseBegan(.differentiating)
      calibration.weights = try TokenWeights(
        context.checkpoint, context.model, samples, context.algebra, control: control)
    }
    func states(
      _ stream: Journal.Stream, _ calibration: inout LayerCalibration
    ) throws -> HiddenStates {
      let limit = sizes.keepsStreams ? Int.max : 0
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
    context.algebra.clock.begin(.states)
    defer { context.algebra.clock.end() }
    if context.plan.propagation == .corrected {
      let original = try states(.original, &calibration)
      compared = try ComparedStreams(
        original: original, compressed: try states(.hidden, &calibration), configuration, sizes,
        folder: folder)
    } else {
      hidden = try states(.hidden, &calibration)
    }
    layer = start
    self.control = control
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
  ///   - inputs: The next element of `measuredTogether`.
  ///   - linears: The matrices that multiply them, at least one.
  ///   - finished: The matrices of the layer that are compressed already.
  /// - Returns: The Hessians of the inputs, and the correction of the matrices if there is one.
  /// - Throws: `LayerCalibrationError`, `CompressionDataError`, errors of the checkpoint.
  mutating func measure(
    _ inputs: [LinearInput], of linears: [LayerLinears.Linear], finished: [CompressedLinear]
  ) throws -> LayerMeasurement {
    observer.phaseBegan(.calibrating(layer: layer))
    let weights = context.model.layers[layer]
    if var states = compared.take() {
      let layers = try comparedLayers(multiplying: inputs[0].multipliedBefore, finished)
      let comparison = try calibration.advance(
        to: inputs[0], of: layers, index: layer, &states, control: control)
      compared = consume states
      passed += 1
      guard let comparison else { preconditionFailure("a comparison that measures nothing") }
      return try LayerMeasurement(comparison, inputs[0], linears[0], context)
    }
    guard var states = hidden.take() else { preconditionFailure("streams that have failed") }
    isThroughLayer = context.plan.propagation == .original
    let hessians =
      isThroughLayer
      ? try calibration.hessians(of: weights, index: layer, advancing: &states, control: control)
      : try calibration.hessians(of: weights, index: layer, inputs: states, control: control)
    hidden = consume states
    return LayerMeasurement(hessians: hessians)
  }

  /// Goes on to the next inputs, whose matrices need no measurement.
  ///
  /// - Parameters:
  ///   - inputs: The next element of `measuredTogether`.
  ///   - finished: The matrices of the layer that are compressed already.
  /// - Throws: `LayerCalibrationError`, errors of the checkpoint.
  mutating func pass(_ inputs: [LinearInput], finished: [CompressedLinear]) throws {
    guard var states = compared.take() else { return }
    observer.phaseBegan(.advancing(layer: layer))
    let layers = try comparedLayers(multiplying: inputs[0].multipliedBefore, finished)
    _ = try calibration.advance(
      to: inputs[0], of: layers, index: layer, &states, isMeasured: false, control: control)
    compared = consume states
    passed += 1
  }

  // MARK: - Advancing

  /// Runs the streams to the end of the layer and saves them before the next.
  ///
  /// - Parameters:
  ///   - finished: All compressed matrices of the layer.
  ///   - journal: Where the streams are saved; those before earlier layers are removed.
  /// - Throws: `LayerCalibrationError`, errors of the checkpoint and of files.
  mutating func advance(past finished: [CompressedLinear], _ journal: Journal) throws {
    let weights = context.model.layers[layer]
    observer.phaseBegan(.advancing(layer: layer))
    // A layer that an earlier run has finished.
    while compared != nil, passed < measuredTogether.count {
      try pass(measuredTogether[passed], finished: finished)
    }
    passed = 0
    if var states = compared.take() {
      let layers = try comparedLayers(
        multiplying: states.keepsGated ? [.down] : [.feedForward, .down], finished)
      try calibration.finish(layers, index: layer, &states, control: control)
      compared = consume states
    } else if !isThroughLayer, var states = hidden.take() {
      let isOriginal = context.plan.propagation == .original
      try calibration.advance(
        &states, through: isOriginal ? weights : compressed(finished), index: layer,
        activationType: context.plan.activationType, control: control)
      hidden = consume states
    }
    isThroughLayer = false
    layer += 1
    try save(journal)
  }

  /// Saves the streams before the current layer, and removes those before earlier ones, unless that would take
  /// more than its share of the time.
  ///
  /// A run that ends loses at most the time since the streams were saved: the samples run again through the
  /// layers that are finished.
  private mutating func save(_ journal: Journal) throws {
    context.algebra.clock.begin(.states)
    defer { context.algebra.clock.end() }
    let start = clock.now
    let share = context.options.savingShare
    if lastSave.duration(to: start) / .seconds(1) * share < savingTime { return }
    defer {
      lastSave = clock.now
      savingTime = start.duration(to: lastSave) / .seconds(1)
    }
    let (operations, run) = (journal.output.operations, journal.run)
    let path = journal.hiddenStatesPath(layer: layer)
    switch compared {
    case .none: try hidden?.save(to: path, run: run, operations: operations)
    case .some(let streams):
      // The stream that a resumed run looks for is saved last.
      try streams.original.save(
        to: journal.hiddenStatesPath(layer: layer, of: .original), run: run, operations: operations)
      try streams.compressed.save(to: path, run: run, operations: operations)
    }
    try journal.removeHiddenStates(before: layer)
  }

  // MARK: - Layers

  /// The layer of both models; the compressed one with the matrices that multiply some of its inputs.
  private func comparedLayers(
    multiplying inputs: [LinearInput], _ finished: [CompressedLinear]
  ) throws -> ComparedLayers {
    let original = context.model.layers[layer]
    let multiplied = finished.filter { linear in
      inputs.contains { $0.matrices.contains { $0.isNamed(linear.record.name) } }
    }
    return ComparedLayers(
      original: original,
      compressed: multiplied.isEmpty ? original : try compressed(multiplied),
      activationType: context.plan.activationType)
  }

  /// The layer with its finished matrices as the samples run through them, and all other tensors of the
  /// original.
  private func compressed(_ finished: [CompressedLinear]) throws -> DecoderLayer {
    switch context.plan.activationType {
    case .f32: try decompressed(finished)
    case .int8: try packed(finished)
    }
  }

  /// The layer with its finished matrices as they are stored.
  private func packed(_ finished: [CompressedLinear]) throws -> DecoderLayer {
    var configuration = context.model.configuration
    configuration.compression = context.plan.compressedFormat
    var tensors = finished.flatMap(\.tensors)
    for transform in rotation?.all ?? [] { tensors += try transform.storedTensors() }
    return try layer(
      configuration, tensors,
      replacing: finished.flatMap { linear in
        ["\(linear.record.name).weight"] + linear.replacements(in: context.checkpoint).map(\.name)
      })
  }

  /// The current layer of a checkpoint with some of its tensors replaced.
  private func layer(
    _ configuration: Configuration, _ tensors: [StoredTensor], replacing names: [String]
  ) throws -> DecoderLayer {
    var tensors = tensors
    let replaced = Set(names)
    let prefix = LayerTensors.prefix(layer: layer)
    for name in context.checkpoint.names
    where name.hasPrefix(prefix) && !replaced.contains(name) {
      if let tensor = try context.checkpoint.tensor(named: name) { tensors.append(tensor) }
    }
    return try DecoderLayer(
      Checkpoint(configuration: configuration, tensors: tensors), index: layer)
  }

  /// The layer with its finished matrices decompressed, and all other tensors of the original.
  private func decompressed(_ finished: [CompressedLinear]) throws -> DecoderLayer {
    let (checkpoint, configuration) = (context.checkpoint, context.model.configuration)
    context.algebra.clock.begin(.unpacking)
    defer { context.algebra.clock.end() }
    let reconstruction = DenseReconstruction(
      context.algebra, context.plan.compressedFormat, rotation)
    var tensors: [StoredTensor] = []
    for linear in finished {
      let weight = try reconstruction.weight(of: linear, configuration)
      tensors.append(try weight.storedTensor(named: "\(linear.record.name).weight"))
      tensors += linear.replacements(in: checkpoint)
    }
    return try layer(configuration, tensors, replacing: tensors.map(\.name))
  }
}

extension LinearInput {
  /// The input whose matrices the samples are multiplied with on the way from the input before this one.
  fileprivate var multipliedBefore: [LinearInput] {
    switch self {
    case .attention: []
    case .attentionOutput: [.attention]
    case .feedForward: [.attentionOutput]
    case .down: [.feedForward]
    }
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
  /// - Throws: `CompressionDataError`, errors of the checkpoint.
  init(
    _ comparison: consuming InputComparison, _ input: LinearInput, _ linear: LayerLinears.Linear,
    _ context: CompressionContext
  ) throws {
    let hessian = comparison.hessian
    context.algebra.clock.begin(.correction)
    defer { context.algebra.clock.end() }
    let (damping, algebra) = (context.plan.damping, context.algebra)
    if hessian.isZero {
      // Inputs that are all zero have no effect, whatever the weights are.
      correction = nil
    } else if input.isComparedItself {
      correction = try WeightCorrection(
        moment: comparison.moment, hessian: hessian.matrix, name: linear.name, damping: damping,
        algebra)
    } else {
      correction = try WeightCorrection(
        replacing: context.weight(of: linear), moment: comparison.moment, hessian: hessian.matrix,
        name: linear.name, damping: damping, algebra)
    }
    var hessians = LayerHessians()
    hessians.put(hessian, input)
    self.hessians = hessians
  }
}
