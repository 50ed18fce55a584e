public import DuetRuntime
internal import DuetSystem

/// The compression of a model, one decoder layer at a time.
///
/// ```
/// pack a tied embedding, and measure what that costs
/// for each layer:
///     for each of its four inputs:
///         run the samples from the input before it to this one, in both models: Hessian, correction
///         for each matrix that multiplies this input: correct, decompose, pack, write to the journal
///     run the samples through the rest of the compressed layer: inputs of the next layer
/// compress the output head; write the shards and config.json
/// ```
///
/// This is the default, with corrections. Without them one run through the original layer measures all four
/// inputs; see `SampleStreams`.
///
/// A run that was stopped or crashed can be resumed with the same plan, model and samples: finished matrices
/// are read from the journal, and the residual streams of the samples are saved before each layer. The result
/// does not depend on interruptions or on the number of threads.
public struct Compressor {
  /// The model that is compressed.
  public var model: Model { context.model }
  /// The tensors of the model.
  public var checkpoint: Checkpoint { context.checkpoint }
  /// How the model is compressed.
  public var plan: CompressionPlan { context.plan }

  private let context: CompressionContext
  private var options: CompressorOptions { context.options }
  private var algebra: LinearAlgebra { context.algebra }

  /// A compression of an open checkpoint.
  ///
  /// - Throws: `CompressionError`, which wraps `CompressionPlanError` when choices of the plan contradict
  ///   each other, and `CheckpointError` when a tensor is missing or has another shape than the configuration
  ///   says.
  public init(
    _ checkpoint: Checkpoint, plan: CompressionPlan, options: CompressorOptions
  ) throws(CompressionError) {
    do {
      try plan.check()
      try plan.checkKeptNames(checkpoint.configuration)
      context = CompressionContext(
        model: try Model(checkpoint), checkpoint: checkpoint,
        plan: plan.choosingEmbedding(for: checkpoint.configuration), options: options,
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
  ///   - output: The output folder; the model appears in it only when all its files are written.
  ///   - samples: The calibration samples, on which the activations are measured.
  ///   - observer: Is told of the progress and may stop the run.
  /// - Returns: The summary; `isComplete` is false when the observer stopped the run.
  /// - Throws: `CompressionError`; finished matrices stay in the journal.
  public func run(
    to output: String, samples: CalibrationSamples, observer: some CompressionObserver
  ) throws(CompressionError) -> CompressionSummary {
    let clock = ContinuousClock()
    let start = clock.now
    let steps = algebra.clock
    steps.begin(.source)
    var summary = CompressionSummary()
    summary.sourceByteCount = checkpoint.byteCount
    summary.matrixCount = layerLinears.reduce(0) { $0 + $1.all.count }
    var folders: [OutputFolder] = []
    do {
      observer.phaseBegan(.preparing)
      guard samples.sampleCount == plan.sampleCount, samples.contextLength == plan.contextLength
      else {
        throw CompressionPlanError.conflict(
          "the plan asks for \(plan.sampleCount) samples of \(plan.contextLength) tokens, and there are "
            + "\(samples.sampleCount) of \(samples.contextLength)")
      }
      if let dense = options.denseFolder {
        // Checked before anything is written.
        try OutputFolder.requireApart(dense, from: output)
        try OutputFolder.check(dense, apartFrom: checkpoint.folder)
      }
      let folder = try OutputFolder(output, source: checkpoint.folder, force: options.force)
      folders.append(folder)
      let fingerprint = try Fingerprint(
        plan: plan, checkpoint: checkpoint, calibrationDigest: samples.digest)
      var journal = try Journal(folder, fingerprint: fingerprint, resume: options.resume)
      if !journal.isResumed {
        try folder.requireFreeSpace(options.neededByteCount)
        // Checked now: later, non-finite activations would not show which tensor caused them.
        if let name = model.firstNonFiniteWeight() {
          throw CompressionDataError.nonFiniteWeight(tensor: name)
        }
      }
      let denseFolder = try denseOutput(besides: output)
      if let denseFolder { folders.append(denseFolder) }
      var export = try denseFolder.map { folder in
        try DenseModelWriter(
          folder, checkpoint: checkpoint, fingerprint: fingerprint, resume: options.resume)
      }
      let rotation = try MatrixRotation(linears: layerLinears.flatMap(\.all), plan, algebra)
      var context = context
      context.plan.moduleRanks = try ranks(journal, samples, rotation, observer)
      let plan = context.plan
      let embedding = try steps.measure(.embedding) {
        try EmbeddingCompression(context, samples, observer).run(&journal)
      }
      context.withCompressedEmbedding = try embedding.map { try context.model(with: $0) }
      summary.embedding = embedding?.record
      var layers = LayerCompression(
        context, journal: journal, rotation: rotation, samples: samples, observer: observer)
      defer { summary.add(layers) }
      let linears = try layers.compressAll(layerLinears)
      let head = try layers.compressHead()
      let all = linears + [head, embedding].compactMap(\.self)
      try export?.assemble(
        all, DenseReconstruction(algebra, plan.compressedFormat, layers.rotation),
        observer: observer)
      observer.phaseBegan(.writing)
      steps.begin(.writing)
      defer { steps.end() }
      let totals = try CompressedModelWriter(
        folder, checkpoint: checkpoint, plan: plan, sourceDigest: fingerprint.sourceDigest
      ).finish(
        linears: linears, head: head, embedding: embedding,
        rotations: layers.rotation?.all ?? [],
        seconds: layers.journal.seconds, steps: steps.times)
      try export?.moveIntoPlace()
      summary.byteCount = totals.byteCount
      summary.isComplete = true
    } catch  where folders.contains(where: { $0.lockLoss != nil }) {
      // Whatever has failed, files that were removed or are another run's are the reason.
      throw CompressionError(folders.lazy.compactMap(\.lockLoss).first ?? .lockLost(path: output))
    } catch is CompressionStopped {
      // The journal keeps the finished matrices.
    } catch LayerCalibrationError.cancelled {
      // The journal keeps the finished matrices; the measurement that was running is lost.
    } catch let error as any DuetError {
      throw CompressionError(error)
    } catch {
      preconditionFailure("\(error) is no error of this package")
    }
    steps.end()
    summary.steps = steps.times
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

  /// The folder of the dense model that the options ask for, checked and locked, or nil.
  private func denseOutput(besides output: String) throws(OutputFolderError) -> OutputFolder? {
    guard let path = options.denseFolder else { return nil }
    // Checked again now that the output exists: a path with ".." may resolve differently.
    try OutputFolder.requireApart(path, from: output)
    return try OutputFolder(path, source: checkpoint.folder, force: options.force)
  }

  /// The matrices to compress, layer by layer.
  private var layerLinears: [LayerLinears] {
    (0..<model.configuration.layerCount).map {
      LayerLinears(model.configuration, layer: $0, plan)
    }
  }

  /// The ranks by matrix name that meet the plan's bits per weight; empty when the plan sets no bits.
  ///
  /// Ranks that an earlier run has chosen are read from the journal.
  private func ranks(
    _ journal: Journal, _ samples: CalibrationSamples, _ rotation: MatrixRotation?,
    _ observer: some CompressionObserver
  ) throws -> [String: Int] {
    if plan.method.lowRank?.targetBits == nil { return [:] }
    if let known = try journal.allocation() { return known }
    algebra.clock.begin(.ranks)
    defer { algebra.clock.end() }
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
