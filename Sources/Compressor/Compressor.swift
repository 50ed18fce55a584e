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

  let context: CompressionContext
  var options: CompressorOptions { context.options }
  var algebra: LinearAlgebra { context.algebra }

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
    try recorded(output) { (summary: inout CompressionSummary, folders: inout [OutputFolder]) in
      observer.phaseBegan(.preparing)
      try requireFit(samples)
      summary.matrixCount = layerLinears.reduce(0) { $0 + $1.all.count }
      try checkDenseFolder(besides: output)
      let folder = try OutputFolder(output, source: checkpoint.folder, force: options.force)
      folders.append(folder)
      let fingerprint = try fingerprint(samples)
      var journal = try Journal(folder, fingerprint: fingerprint, resume: options.resume)
      if !journal.isResumed {
        try folder.requireFreeSpace(options.neededByteCount)
        // Checked now: later, non-finite activations would not show which tensor caused them.
        if let name = model.firstNonFiniteWeight() {
          throw CompressionDataError.nonFiniteWeight(tensor: name)
        }
      }
      var export = try denseExport(besides: output, fingerprint, &folders)
      let rotation = try rotation()
      var context = context
      context.plan.moduleRanks = try ranks(journal, samples, rotation, observer)
      let embedding = try algebra.clock.measure(.embedding) {
        try EmbeddingCompression(context, samples, observer).run(&journal)
      }
      context.withCompressedEmbedding = try embedding.map { try context.model(with: $0) }
      summary.embedding = embedding?.record
      var layers = LayerCompression(
        context, journal: journal, rotation: rotation, samples: samples, observer: observer)
      defer { summary.add(layers) }
      let linears = try layers.compressAll(layerLinears)
      let head = try layers.compressHead()
      let matrices = CompressedMatrices(
        linears: linears, head: head, embedding: embedding, seconds: layers.journal.seconds)
      try finish(
        matrices, context.plan, rotation, fingerprint, in: folder, &export, &summary, observer)
    }
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

  /// The matrices to compress, layer by layer.
  var layerLinears: [LayerLinears] {
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
  /// Adds what the compression of layers has done.
  mutating func add(_ layers: borrowing LayerCompression<some CompressionObserver>) {
    records = layers.records
    resumedCount = layers.resumedCount
  }
}
