internal import DuetRuntime
internal import DuetSystem

/// The matrices of a compressed model, with the seconds that they took by their names.
struct CompressedMatrices {
  let linears: [CompressedLinear]
  let head: CompressedLinear?
  let embedding: CompressedLinear?
  let seconds: [String: Double]

  /// The linear layers, the head and the embedding, in the order of the report.
  var all: [CompressedLinear] { linears + [head, embedding].compactMap(\.self) }
}

/// The steps that a whole run, a part and the joining of parts have in common.
extension Compressor {
  /// Calls `body`, times it, and turns what it throws into the result of a run.
  ///
  /// - Parameters:
  ///   - output: The output, for errors.
  ///   - body: The work. It fills in the summary, and adds the folders that it locks.
  /// - Returns: The summary; `isComplete` is false when the observer stopped the run.
  /// - Throws: `CompressionError`.
  func recorded(
    _ output: String,
    _ body: (inout CompressionSummary, inout [OutputFolder]) throws -> Void
  ) throws(CompressionError) -> CompressionSummary {
    let clock = ContinuousClock()
    let start = clock.now
    let steps = algebra.clock
    steps.begin(.source)
    var summary = CompressionSummary()
    summary.sourceByteCount = checkpoint.byteCount
    var folders: [OutputFolder] = []
    do {
      // The matrices of all layers have the same few sizes.
      try LargeMemory.shared.keeping { try body(&summary, &folders) }
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

  /// Refuses samples that are not those of the plan.
  func requireFit(_ samples: CalibrationSamples) throws(CompressionPlanError) {
    guard samples.sampleCount == plan.sampleCount, samples.contextLength == plan.contextLength
    else {
      throw .conflict(
        "the plan asks for \(plan.sampleCount) samples of \(plan.contextLength) tokens, and there are "
          + "\(samples.sampleCount) of \(samples.contextLength)")
    }
  }

  /// The identity of the whole run.
  func fingerprint(_ samples: CalibrationSamples) throws(JournalError) -> Fingerprint {
    try Fingerprint(plan: plan, checkpoint: checkpoint, calibrationDigest: samples.digest)
  }

  /// The rotations of the whole model, or nil.
  func rotation() throws(IncoherenceError) -> MatrixRotation? {
    try MatrixRotation(linears: layerLinears.flatMap(\.all), plan, algebra)
  }

  // MARK: - The dense model

  /// Checks the folder of the dense model before anything is written.
  func checkDenseFolder(besides output: String) throws(OutputFolderError) {
    guard let dense = options.denseFolder else { return }
    try OutputFolder.requireApart(dense, from: output)
    try OutputFolder.check(dense, apartFrom: checkpoint.folder)
  }

  /// The writer of the dense model that the options ask for, into a folder that is checked and locked; or nil.
  func denseExport(
    besides output: String, _ fingerprint: Fingerprint, _ folders: inout [OutputFolder]
  ) throws -> DenseModelWriter? {
    guard let path = options.denseFolder else { return nil }
    // Checked again now that the output exists: a path with ".." may resolve differently.
    try OutputFolder.requireApart(path, from: output)
    let folder = try OutputFolder(path, source: checkpoint.folder, force: options.force)
    folders.append(folder)
    return try DenseModelWriter(
      folder, checkpoint: checkpoint, fingerprint: fingerprint, resume: options.resume)
  }

  // MARK: - The end

  /// Writes the compressed model, and the dense one, from the matrices.
  func finish(
    _ matrices: CompressedMatrices, _ plan: CompressionPlan, _ rotation: MatrixRotation?,
    _ fingerprint: Fingerprint, in folder: OutputFolder, _ export: inout DenseModelWriter?,
    _ summary: inout CompressionSummary, _ observer: some CompressionObserver
  ) throws {
    try export?.assemble(
      matrices.all, DenseReconstruction(algebra, plan.compressedFormat, rotation),
      observer: observer)
    observer.phaseBegan(.writing)
    algebra.clock.begin(.writing)
    defer { algebra.clock.end() }
    let totals = try CompressedModelWriter(
      folder, checkpoint: checkpoint, plan: plan, sourceDigest: fingerprint.sourceDigest
    ).finish(
      linears: matrices.linears, head: matrices.head, embedding: matrices.embedding,
      rotations: rotation?.all ?? [], seconds: matrices.seconds, steps: algebra.clock.times)
    try export?.moveIntoPlace()
    summary.byteCount = totals.byteCount
    summary.isComplete = true
  }
}
