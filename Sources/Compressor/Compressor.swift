public import DuetRuntime

/// The compression of a model, one decoder layer at a time.
///
/// ```
/// for each layer:
///     Hessians of its four inputs         run the samples through the dense layer
///     for each matrix: metric, decompose, pack, write to the journal
///     inputs of the next layer            run the samples through the compressed layer
/// the output head, the shards, config.json
/// ```
///
/// A run that is stopped or dies is resumed by another one with the same plan, model and samples: whole
/// matrices are taken from the journal, and the residual stream of the samples is saved before each
/// layer. The result does not depend on interruptions or on the number of threads.
public struct Compressor {
  /// The model that is compressed.
  public let model: Model
  /// Its tensors.
  public let checkpoint: Checkpoint
  /// How it is compressed.
  public private(set) var plan: CompressionPlan

  let options: CompressorOptions
  let algebra: LinearAlgebra

  /// A compression of an open checkpoint.
  ///
  /// - Throws: `CheckpointError` when a tensor is missing or of another shape than the configuration says.
  /// - Precondition: A plan that rescales inputs does not correct matrices: the factors of a later input change
  ///   matrices that are finished by then.
  public init(
    _ checkpoint: Checkpoint, plan: CompressionPlan, options: CompressorOptions
  ) throws(CheckpointError) {
    precondition(plan.method != .awq || plan.propagation != .corrected, "awq with corrections")
    model = try Model(checkpoint)
    self.checkpoint = checkpoint
    self.plan = plan
    self.options = options
    algebra = LinearAlgebra(WorkerPool(threadCount: options.threadCount))
  }

  /// Compresses the model into a folder.
  ///
  /// - Parameters:
  ///   - output: The folder, which gets a model only when all of it is written.
  ///   - samples: What the activations are measured on.
  ///   - observer: Who hears of the progress and may stop it.
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
          throw CompressorError.nonFiniteWeight(tensor: name)
        }
      }
      var export = try denseModel(besides: output, fingerprint)
      let rotation = try MatrixRotation(linears: layerLinears.flatMap(\.all), plan, algebra)
      var compressor = self
      compressor.plan.moduleRanks = try ranks(journal, samples, rotation, observer)
      let plan = compressor.plan
      var layers = LayerCompression(
        compressor, journal: journal, rotation: rotation, samples: samples, observer: observer)
      defer { summary.add(layers) }
      let linears = try layers.compressAll(layerLinears)
      let head = try layers.compressHead()
      let all = linears + (head.map { [$0] } ?? [])
      try export?.assemble(
        all, DenseReconstruction(algebra, plan, layers.rotation), observer: observer)
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
    if plan.targetBits == nil { return [:] }
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

/// Thrown when the observer wants a run to stop.
struct CompressionStopped: Error {}

extension CompressionSummary {
  fileprivate mutating func add(_ layers: borrowing LayerCompression<some CompressionObserver>) {
    records = layers.records
    resumedCount = layers.resumedCount
  }
}
