public import DuetRuntime
internal import DuetSystem

/// The compression of a model, one decoder layer at a time.
///
/// ```
/// for each layer:
///     for each of its four inputs:
///         Hessian, correction             run the samples through the original layer and through the
///                                             layer as it is compressed so far
///         for each matrix: correct, decompose, pack, write to the journal
///     inputs of the next layer            run the samples through both layers
/// the output head, the shards, config.json
/// ```
///
/// That is the default. Without corrections all inputs are measured at once in the original layer; see
/// `SampleStreams`.
///
/// A run that is stopped or dies is resumed by another one with the same plan, model and samples: whole
/// matrices are taken from the journal, and the residual stream of the samples is saved before each
/// layer. The result does not depend on interruptions or on the number of threads.
public struct Compressor {
  /// The model that is compressed.
  public var model: Model { context.model }
  /// Its tensors.
  public var checkpoint: Checkpoint { context.checkpoint }
  /// How it is compressed.
  public var plan: CompressionPlan { context.plan }

  private let context: CompressionContext
  private var options: CompressorOptions { context.options }
  private var algebra: LinearAlgebra { context.algebra }

  /// A compression of an open checkpoint.
  ///
  /// - Throws: `CompressionError`: that of the plan when its choices contradict each other, that of the
  ///   checkpoint when a tensor is missing or of another shape than the configuration says.
  public init(
    _ checkpoint: Checkpoint, plan: CompressionPlan, options: CompressorOptions
  ) throws(CompressionError) {
    do {
      try plan.check()
      context = CompressionContext(
        model: try Model(checkpoint), checkpoint: checkpoint, plan: plan, options: options,
        algebra: LinearAlgebra(WorkerPool(threadCount: options.threadCount)))
    } catch let error as any DuetError {
      throw CompressionError(error)
    } catch {
      preconditionFailure("\(error) is no error of this package")
    }
  }

  /// Compresses the model into a folder.
  ///
  /// - Parameters:
  ///   - output: The folder, which gets a model only when all of it is written.
  ///   - samples: What the activations are measured on.
  ///   - observer: What is told of the progress and may stop the run.
  /// - Returns: What was done; `isComplete` is false when the observer stopped it.
  /// - Throws: `CompressionError`; what is finished stays in the journal.
  public func run(
    to output: String, samples: CalibrationSamples, observer: some CompressionObserver
  ) throws(CompressionError) -> CompressionSummary {
    let clock = ContinuousClock()
    let start = clock.now
    var summary = CompressionSummary()
    summary.sourceByteCount = checkpoint.byteCount
    summary.matrixCount = layerLinears.reduce(0) { $0 + $1.all.count }
    do {
      observer.phaseBegan(.preparing)
      if let dense = options.denseFolder {
        // Before anything is written.
        try OutputFolder.requireApart(dense, from: output)
        try OutputFolder.check(dense, apartFrom: checkpoint.folder)
      }
      let folder = try OutputFolder(output, source: checkpoint.folder, force: options.force)
      let fingerprint = try Fingerprint(
        plan: plan, checkpoint: checkpoint, calibrationDigest: samples.digest)
      let journal = try Journal(folder, fingerprint: fingerprint, resume: options.resume)
      if !journal.isResumed {
        try folder.requireFreeSpace(options.neededByteCount)
        // Now, because later the activations would no longer tell which tensor it was.
        if let name = model.firstNonFiniteWeight() {
          throw CompressionDataError.nonFiniteWeight(tensor: name)
        }
      }
      var export = try denseModel(besides: output, fingerprint)
      let rotation = try MatrixRotation(linears: layerLinears.flatMap(\.all), plan, algebra)
      var context = context
      context.plan.moduleRanks = try ranks(journal, samples, rotation, observer)
      let plan = context.plan
      var layers = LayerCompression(
        context, journal: journal, rotation: rotation, samples: samples, observer: observer)
      defer { summary.add(layers) }
      let linears = try layers.compressAll(layerLinears)
      let head = try layers.compressHead()
      let all = linears + (head.map { [$0] } ?? [])
      try export?.assemble(
        all, DenseReconstruction(algebra, plan.compressedFormat, layers.rotation),
        observer: observer)
      observer.phaseBegan(.writing)
      let totals = try CompressedModelWriter(
        folder, checkpoint: checkpoint, plan: plan, sourceDigest: fingerprint.sourceDigest
      ).finish(
        linears: linears, head: head, rotations: layers.rotation?.all ?? [],
        seconds: layers.journal.seconds)
      try export?.moveIntoPlace()
      summary.byteCount = totals.byteCount
      summary.isComplete = true
    } catch is CompressionStopped {
      // The journal has what was done.
    } catch LayerCalibrationError.cancelled {
      // Likewise, without the layer whose samples were running.
    } catch let error as any DuetError {
      throw CompressionError(error)
    } catch {
      preconditionFailure("\(error) is no error of this package")
    }
    summary.seconds = start.duration(to: clock.now) / .seconds(1)
    return summary
  }

  /// Compresses the model into a folder, without an observer.
  ///
  /// - Parameters:
  ///   - output: The folder, which gets a model only when all of it is written.
  ///   - samples: What the activations are measured on.
  /// - Returns: What was done.
  /// - Throws: `CompressionError`; what is finished stays in the journal.
  public func run(
    to output: String, samples: CalibrationSamples
  ) throws(CompressionError) -> CompressionSummary {
    try run(to: output, samples: samples, observer: SilentObserver())
  }

  /// The model of dense weights that the options ask for, its folder checked and locked.
  private func denseModel(
    besides output: String, _ fingerprint: Fingerprint
  ) throws -> DenseModelWriter? {
    guard let path = options.denseFolder else { return nil }
    // Once more: ".." may have led elsewhere before there were folders.
    try OutputFolder.requireApart(path, from: output)
    let folder = try OutputFolder(path, source: checkpoint.folder, force: options.force)
    return try DenseModelWriter(
      folder, checkpoint: checkpoint, fingerprint: fingerprint, resume: options.resume)
  }

  /// The matrices to compress, layer by layer.
  private var layerLinears: [LayerLinears] {
    (0..<model.configuration.layerCount).map {
      LayerLinears(model.configuration, layer: $0, plan)
    }
  }

  /// The ranks that meet the plan's bits per weight, from the journal when they are chosen already; none
  /// without such bits.
  private func ranks(
    _ journal: Journal, _ samples: CalibrationSamples, _ rotation: MatrixRotation?,
    _ observer: some CompressionObserver
  ) throws -> [String: Int] {
    if plan.method.lowRank?.targetBits == nil { return [:] }
    if let known = try journal.allocation() { return known }
    let allocation = RankAllocation(plan)
    let matrices = try ModelAnalysis(model, checkpoint, plan, options, algebra).matrices(
      samples, folder: journal.output.statePath, rotation,
      largestRank: allocation.largestRank(model.configuration), observer)
    var shared = 0
    for rotation in rotation?.all ?? [] {
      shared += try rotation.storedTensors().reduce(0) { $0 + $1.byteCount }
    }
    let ranks = try allocation.ranks(for: matrices, sharedByteCount: shared)
    try journal.record(allocation: ranks)
    return ranks
  }
}

extension CompressionSummary {
  fileprivate mutating func add(_ layers: borrowing LayerCompression<some CompressionObserver>) {
    records = layers.records
    resumedCount = layers.resumedCount
  }
}
