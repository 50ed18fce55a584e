internal import DuetRuntime
internal import DuetSystem

/// The compression of a model in parts, by several machines that share a folder.
///
/// ```
/// states 1/N ... N/N    each runs its share of the samples through the original model (may be left out)
/// part 1/N ... N/N      each compresses its layers, in a folder of its own
/// merge                 writes the model from the matrices of all parts
/// ```
///
/// The layers must depend on nothing but the original model (`Propagation.original`). The result has the bytes
/// that one run with the same plan would have written.
extension Compressor {
  /// Compresses one part of the model, in a folder beside `output`.
  ///
  /// The part can be resumed like a whole run. It is complete when the summary says so.
  ///
  /// - Parameters:
  ///   - number: Which part. The first also has the embedding, the last the output head.
  ///   - sharesStates: Whether the streams before the part are taken from those of `saveStates`; without them
  ///     the samples run through all layers before the part.
  ///   - output: The output of the whole model; the part is kept in `output`.parts.
  ///   - samples: The calibration samples.
  ///   - observer: Is told of the progress and may stop the run.
  /// - Returns: The summary of the part.
  /// - Throws: `CompressionError`; finished matrices stay in the journal of the part.
  public func run(
    part number: PartNumber, sharesStates: Bool = false, to output: String,
    samples: CalibrationSamples, observer: some CompressionObserver
  ) throws(CompressionError) -> CompressionSummary {
    try recorded(output) { (summary: inout CompressionSummary, folders: inout [OutputFolder]) in
      observer.phaseBegan(.preparing)
      try checkParts(samples, output)
      let parts = try forecast().parts(number.count, sharesStates: sharesStates)
      let part = parts[number.index - 1]
      let linears = Array(layerLinears[part.layers])
      summary.matrixCount = linears.reduce(0) { $0 + $1.all.count }
      let run = try fingerprint(samples)
      let place = try PartFolders(of: output)
      var journal = try journal(
        in: place.part(number), run.of(part),
        reading: (sharesStates ? part.layers.lowerBound : 0)..<part.layers.upperBound, &folders)
      let rotation = try rotation()
      if part.hasEmbedding {
        summary.embedding = try EmbeddingCompression(context, samples, observer).run(&journal)?
          .record
      }
      let first = part.layers.lowerBound
      if sharesStates, first > 0, try needsStates(journal, linears, before: first) {
        let boundaries = Self.boundaries(parts)
        try StatesShare(
          context: context, samples: samples, boundaries: boundaries, observer: observer
        ).collect(before: first, from: place, count: number.count, of: run, for: journal)
      }
      var layers = LayerCompression(
        context, journal: journal, rotation: rotation, samples: samples, observer: observer)
      defer { summary.add(layers) }
      _ = try layers.compressAll(linears)
      if part.hasHead { _ = try layers.compressHead() }
      try journal.removeHiddenStates(before: .max)
      summary.isComplete = true
    }
  }

  /// Runs a share of the samples through the original model, and keeps their streams before the first layers
  /// of all parts, in a folder beside `output`.
  ///
  /// - Parameters:
  ///   - number: Which share of the samples, of as many shares as there are parts.
  ///   - output: The output of the whole model.
  ///   - samples: The calibration samples, all of them.
  ///   - observer: Is told of the progress and may stop the run.
  /// - Returns: The summary, without matrices.
  /// - Throws: `CompressionError`; the streams before the last layer that was reached stay.
  public func saveStates(
    share number: PartNumber, to output: String, samples: CalibrationSamples,
    observer: some CompressionObserver
  ) throws(CompressionError) -> CompressionSummary {
    try recorded(output) { (summary: inout CompressionSummary, folders: inout [OutputFolder]) in
      observer.phaseBegan(.preparing)
      try checkParts(samples, output)
      let boundaries = Self.boundaries(try forecast().parts(number.count, sharesStates: true))
      let run = try fingerprint(samples)
      let journal = try journal(
        in: try PartFolders(of: output).states(number),
        run.of(statesShare: number, boundaries: boundaries),
        reading: 0..<(boundaries.last ?? 0), &folders)
      try StatesShare(
        context: context, samples: samples, boundaries: boundaries, observer: observer
      )
      .run(number, journal)
      summary.isComplete = true
    }
  }

  /// Joins the parts of a model to the model that one run would have written.
  ///
  /// - Parameters:
  ///   - output: The output; the parts are in `output`.parts, and stay there.
  ///   - samples: The calibration samples that the parts were made with.
  ///   - observer: Is told of the progress; it may stop the run while a dense model is written.
  /// - Returns: The summary.
  /// - Throws: `CompressionError`, which names parts that are missing, unfinished or of another run.
  public func merge(
    to output: String, samples: CalibrationSamples, observer: some CompressionObserver
  ) throws(CompressionError) -> CompressionSummary {
    try recorded(output) { (summary: inout CompressionSummary, folders: inout [OutputFolder]) in
      observer.phaseBegan(.preparing)
      try checkParts(samples, output)
      try checkDenseFolder(besides: output)
      let run = try fingerprint(samples)
      // Before anything is written.
      let parts = try joinedParts(of: output, run).matrices()
      let folder = try OutputFolder(output, source: checkpoint.folder, force: options.force)
      folders.append(folder)
      let journal = try Journal(folder, fingerprint: run, resume: options.resume)
      if !journal.isResumed { try folder.requireFreeSpace(options.neededByteCount) }
      var export = try denseExport(besides: output, run, &folders)
      let linears = layerLinears.flatMap(\.all).compactMap { parts[$0.name]?.linear }
      let matrices = CompressedMatrices(
        linears: linears, head: parts[CompressedFormat.headName]?.linear,
        embedding: parts[CompressedFormat.embeddingName]?.linear,
        seconds: parts.mapValues(\.seconds))
      summary.records = linears.map(\.record)
      summary.resumedCount = linears.count
      summary.matrixCount = linears.count
      summary.embedding = matrices.embedding?.record
      try finish(matrices, plan, try rotation(), run, in: folder, &export, &summary, observer)
    }
  }

  /// What there is of the parts beside an output.
  ///
  /// - Parameters:
  ///   - output: The output of the whole model.
  ///   - samples: The calibration samples that the parts were made with.
  /// - Returns: All parts of the division that was begun; a part is complete when it lacks nothing.
  /// - Throws: `CompressionError` when there are no parts, or those of several divisions.
  public func parts(
    of output: String, samples: CalibrationSamples
  ) throws(CompressionError) -> [PartSummary] {
    do {
      try checkParts(samples, output)
      return try joinedParts(of: output, try fingerprint(samples)).parts.map(PartSummary.init)
    } catch let error as any DuetError {
      throw CompressionError(error)
    } catch {
      preconditionFailure("\(error) is no error of this package")
    }
  }

  // MARK: - Steps

  /// Refuses what cannot be compressed in parts, before anything is written.
  private func checkParts(_ samples: CalibrationSamples, _ output: String) throws {
    try plan.checkParts()
    try requireFit(samples)
    try OutputFolder.check(output, apartFrom: checkpoint.folder)
  }

  private func forecast() throws -> CompressionForecast {
    try CompressionForecast(checkpoint, plan: plan)
  }

  /// The first layers of all parts but the first.
  private static func boundaries(_ parts: [ModelPart]) -> [Int] {
    parts.dropFirst().map(\.layers.lowerBound)
  }

  /// The journal of a part, in a folder that is locked.
  ///
  /// When it is begun, the weights of the layers that it reads are checked.
  private func journal(
    in path: String, _ fingerprint: Fingerprint, reading layers: Range<Int>,
    _ folders: inout [OutputFolder]
  ) throws -> Journal {
    let folder = try OutputFolder(path, source: checkpoint.folder, force: options.force)
    folders.append(folder)
    let journal = try Journal(folder, fingerprint: fingerprint, resume: options.resume)
    if !journal.isResumed {
      try folder.requireFreeSpace(options.neededByteCount)
      if let name = model.firstNonFiniteWeight(inLayers: layers) {
        throw CompressionDataError.nonFiniteWeight(tensor: name)
      }
    }
    return journal
  }

  /// Whether a part lacks both a matrix and the streams to compress it with.
  private func needsStates(
    _ journal: Journal, _ linears: [LayerLinears], before layer: Int
  ) throws -> Bool {
    if let saved = try journal.lastHiddenStates(), saved >= layer { return false }
    return linears.contains { $0.all.contains { !fileExists(journal.partPath($0.name)) } }
  }

  private func joinedParts(of output: String, _ run: Fingerprint) throws -> JoinedParts {
    try JoinedParts(of: output, run: run, layerCount: model.configuration.layerCount) { part in
      // A range that another version has chosen need not be one of this model.
      let layers = part.layers.clamped(to: layerLinears.indices)
      var names = layerLinears[layers].flatMap { $0.all.map(\.name) }
      if part.hasEmbedding, try context.embeddingToCompress() != nil {
        names.append(CompressedFormat.embeddingName)
      }
      if part.hasHead, try context.headToCompress() != nil {
        names.append(CompressedFormat.headName)
      }
      return names
    }
  }
}
