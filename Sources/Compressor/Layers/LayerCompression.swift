internal import DuetRuntime

/// The compression of all layers, from where the journal ends.
struct LayerCompression<Observer: CompressionObserver>: ~Copyable {
  private(set) var journal: Journal
  let rotation: MatrixRotation?
  /// The figures of the matrices that are done, in the order of the model.
  private(set) var records: [MatrixRecord] = []
  /// How many of them came from the journal.
  private(set) var resumedCount = 0
  /// The rescaled inputs of the layer at hand.
  private var scaling = LayerScaling()

  let compressor: Compressor
  let samples: CalibrationSamples
  let observer: Observer
  private let clock = ContinuousClock()

  init(
    _ compressor: Compressor, journal: Journal, rotation: MatrixRotation?,
    samples: CalibrationSamples,
    observer: Observer
  ) {
    self.compressor = compressor
    self.journal = journal
    self.rotation = rotation
    self.samples = samples
    self.observer = observer
  }

  var plan: CompressionPlan { compressor.plan }
  var configuration: Configuration { compressor.model.configuration }
  var algebra: LinearAlgebra { compressor.algebra }

  // MARK: - Layers

  /// Compresses what the journal lacks, and returns all matrices.
  mutating func compressAll(_ layers: [LayerLinears]) throws -> [CompressedLinear] {
    // What earlier runs have done, up to the first gap.
    var finished: [[CompressedLinear]] = []
    while finished.count < layers.count, let layer = try completed(layers[finished.count].all) {
      finished.append(layer)
    }
    if finished.count == layers.count { return finished.flatMap { $0 } }
    if plan.propagation == .corrected { return try compressCorrected(layers, after: finished) }

    var calibration = LayerCalibration(
      configuration, contextLength: samples.contextLength, algebra)
    var first = 0
    var states = try hiddenStates(&calibration, notAfter: finished.count, before: &first)
    for layer in first..<layers.count {
      var hasAdvanced = false
      if layer >= finished.count {
        var hessians = try hessians(of: layer, &states, &calibration, hasAdvanced: &hasAdvanced)
        finished.append(try compress(layers[layer], layer, &hessians))
      }
      if layer + 1 == layers.count { break }
      if !hasAdvanced {
        let weights =
          plan.propagation == .original
          ? compressor.model.layers[layer] : try decompressed(layer, finished[layer])
        try advance(&states, through: weights, layer, &calibration)
      }
      try states.save(to: journal.hiddenStatesPath(layer: layer + 1))
      try journal.removeHiddenStates(before: layer + 1)
    }
    return finished.flatMap { $0 }
  }

  /// All of some matrices from the journal, or nil when one is missing.
  mutating func completed(_ linears: [LayerLinears.Linear]) throws -> [CompressedLinear]? {
    var result: [CompressedLinear] = []
    for linear in linears {
      guard let done = try journal.completed(linear.name) else { return nil }
      result.append(done)
    }
    for done in result { note(done, seconds: nil) }
    return result
  }

  private mutating func note(_ linear: CompressedLinear, seconds: Double?) {
    records.append(linear.record)
    if seconds == nil { resumedCount += 1 }
    observer.finished(linear.record, seconds: seconds)
  }

  /// Compresses the matrices of a layer.
  private mutating func compress(
    _ layer: LayerLinears, _ index: Int, _ hessians: inout LayerHessians
  ) throws -> [CompressedLinear] {
    observer.phaseBegan(.decomposing(layer: index))
    if plan.method == .awq { scaling = try scaling(of: layer, &hessians) }
    var result: [CompressedLinear] = []
    for input in LinearInput.allCases {
      guard var hessian = hessians.take(input) else { continue }
      result += try compress(
        layer.sharing(input), input, &hessian, correction: nil, of: layer.all.count, result.count)
    }
    return result
  }

  /// The factors by which the inputs of a layer are rescaled, all found before any matrix is changed.
  private func scaling(
    of layer: LayerLinears, _ hessians: inout LayerHessians
  ) throws -> LayerScaling {
    var result = LayerScaling()
    for input in LayerScaling.inputs(layer, configuration) {
      guard let hessian = hessians.take(input) else { continue }
      // What is not finite or zero is refused where the metric is made of it.
      let diagonal = (0..<hessian.size).reduce(0) { $0 + hessian.matrix[$1, $1] }
      if diagonal.isFinite, diagonal > 0 {
        let search = ChannelScaling(hessian.matrix, plan, algebra)
        var sums = [Double](repeating: 0, count: ChannelScaling.exponentCount)
        for linear in layer.sharing(input) {
          let errors = search.errors(
            of: try weight(linear.name, linear.outputSize, linear.inputSize))
          for index in sums.indices { sums[index] += errors[index] }
        }
        let best = sums.indices.min { sums[$0] < sums[$1] } ?? 0
        result.add(
          input, exponent: Double(best) / Double(ChannelScaling.exponentCount),
          search.factors(best))
      }
      hessians.put(hessian, input)
    }
    return result
  }

  /// Compresses the matrices that share an input, those of the journal excepted.
  mutating func compress(
    _ linears: [LayerLinears.Linear], _ input: LinearInput, _ hessian: inout Hessian,
    correction: borrowing WeightCorrection?, of total: Int, _ done: Int
  ) throws -> [CompressedLinear] {
    var known: [String: CompressedLinear] = [:]
    for linear in linears { known[linear.name] = try journal.completed(linear.name) }
    if known.count == linears.count {
      return linears.compactMap { known[$0.name] }.map { linear in
        note(linear, seconds: nil)
        return linear
      }
    }
    scaling.apply(to: &hessian.matrix, input, algebra)
    let metric = try Metric(
      &hessian.matrix, name: linears[0].name, damping: plan.damping,
      columnCount: plan.columnCount(inputSize: linears[0].inputSize),
      rotation: plan.incoherence == .none ? nil : rotation, algebra)
    // Of no use any more, and of the size of half the metric or more.
    hessian.matrix = Matrix(rowCount: 0, columnCount: 0)
    var result: [CompressedLinear] = []
    for linear in linears {
      if let finished = known[linear.name] {
        note(finished, seconds: nil)
        result.append(finished)
        continue
      }
      let (compressed, seconds) = try compress(linear, input, metric, correction)
      note(compressed, seconds: seconds)
      result.append(compressed)
      observer.progressed(done + result.count, of: total)
      if observer.isCancelled { throw CompressionStopped() }
    }
    return result
  }

  /// Compresses a matrix and writes it to the journal.
  private mutating func compress(
    _ linear: LayerLinears.Linear, _ input: LinearInput, _ metric: borrowing Metric,
    _ correction: borrowing WeightCorrection?
  ) throws -> (CompressedLinear, seconds: Double) {
    let start = clock.now
    var weight = try weight(linear.name, linear.outputSize, linear.inputSize)
    var (change, changeDamping) = (0.0, 0.0)
    switch correction {
    case .none: break
    case .some(let correction):
      change = correction.apply(to: &weight, algebra)
      changeDamping = correction.damping
    }
    scaling.apply(to: &weight, input, name: linear.name, algebra)
    let problem = try WeightProblem(
      &weight, name: linear.name, metric: metric,
      outputRotation: plan.incoherence == .both ? rotation : nil, algebra)
    var compressed = try MatrixCompressor(algebra, plan)
      .compress(problem, metric)
    compressed.record.correction = change
    compressed.record.correctionDamping = changeDamping
    compressed.record.scalingExponent = scaling.exponent(input)
    compressed.tensors += try scaling.replacements(linear.name, compressor.checkpoint)
    let seconds = start.duration(to: clock.now) / .seconds(1)
    try journal.record(compressed, seconds: seconds)
    // The mapped copy, so that the compressed model need not fit in memory.
    return (try journal.completed(linear.name) ?? compressed, seconds)
  }

  private func weight(
    _ name: String, _ rows: Int, _ columns: Int
  ) throws(CheckpointError) -> Matrix<Float> {
    let tensor = try compressor.checkpoint.tensor(
      named: "\(name).weight", shape: [rows, columns])
    return Matrix(widening: tensor, rowCount: rows, columnCount: columns)
  }

  // MARK: - Samples

  /// The residual streams before the first layer for which they are known: the last that were saved, or
  /// the embeddings of the samples.
  ///
  /// Those before layers behind `end`, the first that is not finished, are of no use: a part that was
  /// lost after they were saved has to be computed from the layers before it.
  func hiddenStates(
    _ calibration: inout LayerCalibration, of stream: Journal.Stream = .hidden, notAfter end: Int,
    before layer: inout Int
  ) throws -> HiddenStates {
    let (folder, limit) = (journal.output.statePath, compressor.options.hiddenStatesLimit)
    if let last = try journal.lastHiddenStates(), last > 0, last <= end {
      layer = last
      return try HiddenStates.restored(
        from: journal.hiddenStatesPath(layer: last, of: stream),
        sampleCount: samples.sampleCount, contextLength: samples.contextLength,
        hiddenSize: configuration.hiddenSize, memoryLimit: limit, folder: folder)
    }
    layer = 0
    var states = try HiddenStates(
      sampleCount: samples.sampleCount, contextLength: samples.contextLength,
      hiddenSize: configuration.hiddenSize, memoryLimit: limit, folder: folder)
    try calibration.embed(samples, with: compressor.model, into: &states)
    return states
  }

  /// The Hessians of a layer; with the inputs of later layers computed from the original weights, the
  /// states run through the layer on the way.
  private func hessians(
    of layer: Int, _ states: inout HiddenStates, _ calibration: inout LayerCalibration,
    hasAdvanced: inout Bool
  ) throws(LayerCalibrationError) -> LayerHessians {
    observer.phaseBegan(.calibrating(layer: layer))
    let weights = compressor.model.layers[layer]
    if plan.propagation == .original {
      hasAdvanced = true
      return try calibration.hessians(
        of: weights, index: layer, advancing: &states, control: control)
    }
    return try calibration.hessians(of: weights, index: layer, inputs: states, control: control)
  }

  /// Runs the states through a layer with the given weights.
  func advance(
    _ states: inout HiddenStates, through weights: DecoderLayer, _ layer: Int,
    _ calibration: inout LayerCalibration
  ) throws {
    observer.phaseBegan(.advancing(layer: layer))
    try calibration.advance(&states, through: weights, index: layer, control: control)
  }

  var control: LayerCalibration.Control {
    let total = samples.sampleCount * samples.contextLength
    return LayerCalibration.Control(
      progress: { [observer] in observer.progressed($0, of: total) },
      isCancelled: { [observer] in observer.isCancelled })
  }

  /// A layer whose compressed matrices are dense again; all else is that of the model.
  func decompressed(
    _ layer: Int, _ linears: [CompressedLinear]
  ) throws -> DecoderLayer {
    let reconstruction = DenseReconstruction(algebra, plan, rotation)
    var tensors: [StoredTensor] = []
    for linear in linears {
      let weight = try reconstruction.weight(of: linear, configuration)
      tensors.append(try weight.storedTensor(named: "\(linear.record.name).weight"))
      tensors += linear.replacements(in: compressor.checkpoint)
    }
    let replaced = Set(tensors.map(\.name))
    for name in compressor.checkpoint.names
    where name.hasPrefix("model.layers.\(layer).") && !replaced.contains(name) {
      if let tensor = try compressor.checkpoint.tensor(named: name) { tensors.append(tensor) }
    }
    return try DecoderLayer(
      Checkpoint(configuration: configuration, tensors: tensors), index: layer)
  }

  // MARK: - The output head

  /// The output head in the format of the plan, or nil when it stays as it is.
  ///
  /// A head that is tied to the embedding is the embedding, which stays; and so does one of 16 bits that
  /// is to have 16.
  mutating func compressHead() throws -> CompressedLinear? {
    let name = "lm_head"
    if configuration.tiesEmbeddings || plan.keeps(name) { return nil }
    let stored = try compressor.checkpoint.tensor(
      named: "\(name).weight", shape: [configuration.vocabularySize, configuration.hiddenSize])
    if plan.headFormat == .f16, stored.elementType != .f32 { return nil }
    if let done = try journal.completed(name) { return done }
    observer.phaseBegan(.packingHead)
    let start = clock.now
    let weight = try weight(name, configuration.vocabularySize, configuration.hiddenSize)
    let packing = HeadCompressor(algebra)
    let head =
      plan.headFormat == .int8
      ? try packing.compress(weight, name: name) : try packing.halved(weight, name: name)
    try journal.record(head, seconds: start.duration(to: clock.now) / .seconds(1))
    if observer.isCancelled { throw CompressionStopped() }
    return head
  }
}
