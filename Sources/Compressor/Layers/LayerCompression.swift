internal import DuetRuntime

/// The compression of all layers, continuing from the journal.
struct LayerCompression<Observer: CompressionObserver>: ~Copyable {
  /// The finished matrices on the disk.
  private(set) var journal: Journal
  /// The rotations of the compressed matrices, or nil.
  let rotation: MatrixRotation?
  /// The figures of the matrices that are done, in the order of the model.
  private(set) var records: [MatrixRecord] = []
  /// The number of these matrices that came from the journal.
  private(set) var resumedCount = 0
  /// The rescaled inputs of the current layer.
  private var scaling = LayerScaling()

  private let context: CompressionContext
  private let samples: CalibrationSamples
  private let observer: Observer
  private let clock = ContinuousClock()

  /// The compression of the model of `context`; the matrices of the journal are done already.
  init(
    _ context: CompressionContext, journal: Journal, rotation: MatrixRotation?,
    samples: CalibrationSamples,
    observer: Observer
  ) {
    self.context = context
    self.journal = journal
    self.rotation = rotation
    self.samples = samples
    self.observer = observer
  }

  private var plan: CompressionPlan { context.plan }
  private var configuration: Configuration { context.model.configuration }
  private var algebra: LinearAlgebra { context.algebra }

  // MARK: - Layers

  /// Compresses the matrices of successive layers that are not in the journal, and returns all matrices.
  ///
  /// The samples run through the layers before the first of them, too; that needs no compressed matrices
  /// where the streams are those of the original model.
  mutating func compressAll(_ layers: [LayerLinears]) throws -> [CompressedLinear] {
    var finished = try finishedLayers(layers)
    if finished.count < layers.count {
      let first = layers[0].index
      var streams = try SampleStreams(
        context, rotation, samples, journal, notAfter: first + finished.count, observer)
      while streams.layer < first { try streams.advance(past: [], journal) }
      for layer in layers[(streams.layer - first)...] {
        let position = layer.index - first
        if position == finished.count { finished.append(try compress(layer, &streams)) }
        if position + 1 == layers.count { break }
        try streams.advance(past: finished[position], journal)
      }
    }
    return finished.flatMap { $0 }
  }

  /// Compresses the matrices of a layer, grouped by the inputs that are measured together.
  private mutating func compress(
    _ layer: LayerLinears, _ streams: inout SampleStreams<Observer>
  ) throws -> [CompressedLinear] {
    var result: [CompressedLinear] = []
    for inputs in streams.measuredTogether {
      let linears = inputs.flatMap(layer.sharing)
      if let known = try completed(linears) {
        try streams.pass(inputs, finished: result)
        result += known
        continue
      }
      let measured = try streams.measure(inputs, of: linears, finished: result)
      observer.phaseBegan(.decomposing(layer: layer.index))
      var hessians = measured.hessians
      if plan.method.needs.rescalesInputs { scaling = try scaling(of: layer, &hessians) }
      for input in inputs {
        guard var hessian = hessians.take(input) else { continue }
        result += try compress(
          layer.sharing(input), input, &hessian, correction: measured.correction,
          of: layer.all.count, result.count)
      }
    }
    return result
  }

  /// The layers that earlier runs have finished, up to the first unfinished one.
  private mutating func finishedLayers(
    _ layers: [LayerLinears]
  ) throws -> [[CompressedLinear]] {
    var finished: [[CompressedLinear]] = []
    while finished.count < layers.count, let layer = try completed(layers[finished.count].all) {
      finished.append(layer)
    }
    return finished
  }

  /// The matrices of `linears` from the journal, or nil when one is missing.
  private mutating func completed(_ linears: [LayerLinears.Linear]) throws -> [CompressedLinear]? {
    var result: [CompressedLinear] = []
    for linear in linears {
      guard let done = try journal.completed(linear.name, observer) else { return nil }
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

  /// The factors by which the inputs of a layer are rescaled, all found before any matrix is changed.
  private func scaling(
    of layer: LayerLinears, _ hessians: inout LayerHessians
  ) throws -> LayerScaling {
    var result = LayerScaling()
    for input in LayerScaling.inputs(layer, configuration) {
      guard let hessian = hessians.take(input) else { continue }
      // A Hessian that is zero or not finite is refused later, when the metric is made from it.
      let diagonal = (0..<hessian.size).reduce(0) { $0 + hessian.matrix[$1, $1] }
      if diagonal.isFinite, diagonal > 0 {
        let search = ChannelScaling(
          hessian.matrix, plan.method.quantization ?? QuantizationOptions(), algebra)
        var sums = [Double](repeating: 0, count: ChannelScaling.exponentCount)
        for linear in layer.sharing(input) {
          let errors = search.errors(of: try context.weight(of: linear))
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

  /// Compresses the matrices that share an input, except those in the journal.
  private mutating func compress(
    _ linears: [LayerLinears.Linear], _ input: LinearInput, _ hessian: inout Hessian,
    correction: borrowing WeightCorrection?, of total: Int, _ done: Int
  ) throws -> [CompressedLinear] {
    var known: [String: CompressedLinear] = [:]
    for linear in linears { known[linear.name] = try journal.completed(linear.name, observer) }
    if known.count == linears.count {
      return linears.compactMap { known[$0.name] }.map { linear in
        note(linear, seconds: nil)
        return linear
      }
    }
    let isUnseen = hessian.replaceZero()
    scaling.apply(to: &hessian.matrix, input, algebra)
    let metric = try algebra.clock.measure(.metric) { () throws(CompressionDataError) in
      try Metric(
        &hessian.matrix, name: linears[0].name, damping: plan.damping,
        columnCount: plan.method.columnCount(inputSize: linears[0].inputSize),
        rotation: plan.incoherence == .none ? nil : rotation, algebra)
    }
    // Not needed any more, and at least half as large as the metric.
    hessian.matrix = Matrix(rowCount: 0, columnCount: 0)
    var result: [CompressedLinear] = []
    for linear in linears {
      if let finished = known[linear.name] {
        note(finished, seconds: nil)
        result.append(finished)
        continue
      }
      let (compressed, seconds) = try compress(
        linear, input, metric, correction, isUnseen: isUnseen)
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
    _ correction: borrowing WeightCorrection?, isUnseen: Bool
  ) throws -> (CompressedLinear, seconds: Double) {
    let start = clock.now
    algebra.clock.begin(.metric)
    defer { algebra.clock.end() }
    var weight = try context.weight(of: linear)
    var (change, changeDamping) = (0.0, 0.0)
    switch correction {
    case .none: break
    case .some(let correction):
      algebra.clock.begin(.correction)
      change = correction.apply(to: &weight, algebra)
      algebra.clock.end()
      changeDamping = correction.damping
    }
    scaling.apply(to: &weight, of: linear, algebra)
    let problem = try WeightProblem(
      &weight, name: linear.name, metric: metric,
      outputRotation: plan.incoherence == .both ? rotation : nil,
      keepsUnseenWeights: plan.method.needs.keepsUnseenWeights, algebra)
    var compressed = try MatrixCompressor(algebra, plan)
      .compress(problem, metric)
    compressed.record.inputsAreZero = isUnseen
    compressed.record.correction = change
    compressed.record.correctionDamping = changeDamping
    compressed.record.scalingExponent = scaling.exponent(input)
    compressed.tensors += try scaling.replacements(linear, context.checkpoint)
    let seconds = start.duration(to: clock.now) / .seconds(1)
    algebra.clock.begin(.journal)
    defer { algebra.clock.end() }
    try journal.record(compressed, seconds: seconds)
    // Returns the mapped copy, so that the compressed model need not fit in memory.
    return (try journal.completed(linear.name) ?? compressed, seconds)
  }

  // MARK: - The output head

  /// The output head in the format of the plan, or nil when it stays as it is.
  mutating func compressHead() throws -> CompressedLinear? {
    guard try context.headToCompress() != nil else { return nil }
    let name = CompressedFormat.headName
    if let done = try journal.completed(name, observer) { return done }
    observer.phaseBegan(.packingHead)
    algebra.clock.begin(.head)
    defer { algebra.clock.end() }
    let start = clock.now
    let weight = try context.weight(
      named: name, configuration.vocabularySize, configuration.hiddenSize)
    let packing = HeadCompressor(algebra)
    let head =
      plan.headFormat == .int8
      ? try packing.compress(
        weight, name: name,
        layout: CompressedFormat.headLayout(
          vocabularySize: weight.rowCount, hiddenSize: weight.columnCount))
      : try packing.halved(weight, name: name)
    try journal.record(head, seconds: start.duration(to: clock.now) / .seconds(1))
    if observer.isCancelled { throw CompressionStopped() }
    return head
  }
}
