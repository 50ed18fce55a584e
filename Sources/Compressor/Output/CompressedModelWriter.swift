package import DuetRuntime
internal import DuetSystem
internal import DuetText

/// The writer of the files of a compressed model, from the matrices of the journal and the other tensors of
/// the source.
package struct CompressedModelWriter {
  private let output: OutputFolder
  private let checkpoint: Checkpoint
  private let plan: CompressionPlan
  private let toolVersion: String
  private let sourceDigest: String
  private let largestShard: Int

  /// The size beyond which weights are spread over several files, in bytes.
  package static let defaultLargestShard = 5_000_000_000

  /// A writer for one model.
  ///
  /// - Parameters:
  ///   - output: The output folder.
  ///   - checkpoint: The source; tensors that are not compressed are copied from it.
  ///   - plan: How the model was compressed.
  ///   - sourceDigest: `Fingerprint.sourceDigest`.
  ///   - toolVersion: The version that compresses.
  ///   - largestShard: The most bytes of tensors in a file; a larger tensor gets a file for itself.
  package init(
    _ output: OutputFolder, checkpoint: Checkpoint, plan: CompressionPlan, sourceDigest: String,
    toolVersion: String = duetVersion, largestShard: Int = Self.defaultLargestShard
  ) {
    precondition(largestShard > 0, "files of \(largestShard) bytes")
    self.output = output
    self.checkpoint = checkpoint
    self.plan = plan
    self.toolVersion = toolVersion
    self.sourceDigest = sourceDigest
    self.largestShard = largestShard
  }

  /// Writes the model and moves it into its place; the run is over when this returns.
  ///
  /// May be called again after a failure, by this process or the next. Tensors are written piece by piece
  /// from mapped files.
  ///
  /// - Parameters:
  ///   - linears: The compressed layers, in the order of the report.
  ///   - head: The output head, or nil when it is copied or tied.
  ///   - embedding: The embedding, or nil when it is copied.
  ///   - rotations: The rotations of the compressed matrices, one for each size.
  ///   - seconds: The time that every matrix took, from `Journal.seconds`.
  ///   - steps: The time that every step of this run took, the writing of the files not included.
  /// - Returns: The figures of the model.
  /// - Throws: `ModelWritingError`; the journal remains.
  package func finish(
    linears: [CompressedLinear], head: CompressedLinear? = nil,
    embedding: CompressedLinear? = nil,
    rotations: [IncoherenceTransform] = [],
    seconds: [String: Double] = [:], steps: [StepTime] = []
  ) throws(ModelWritingError) -> CompressionTotals {
    var copied: [StoredTensor] = []
    var totals = CompressionTotals()
    totals.add(linears.map(\.record))
    let compressed = linears + [head, embedding].compactMap(\.self)
    let replaced = Set(compressed.flatMap { $0.replacedNames(in: checkpoint) })
    for name in checkpoint.names {
      let tensor = try wrapping(ModelWritingError.checkpoint) { () throws(CheckpointError) in
        try checkpoint.tensor(named: name)
      }
      guard let tensor else { continue }
      totals.weightCount += tensor.elementCount
      if !replaced.contains(name) { copied.append(tensor) }
    }
    var tensors = copied + compressed.flatMap(\.tensors)
    for rotation in rotations.sorted(by: { $0.size < $1.size }) {
      let stored = try wrapping(ModelWritingError.file) { () throws(FileError) in
        try rotation.storedTensors()
      }
      totals.linearByteCount += stored.reduce(0) { $0 + $1.byteCount }
      tensors += stored
    }
    totals.byteCount = tensors.reduce(0) { $0 + $1.byteCount }
    if !output.isReadyToMove {
      let report = CompressionReport(
        plan: plan, hiddenSize: checkpoint.configuration.hiddenSize, toolVersion: toolVersion,
        sourceDigest: sourceDigest, totals: totals, linears: linears.map(\.record),
        others: [head, embedding].compactMap(\.?.record), files: [])
      let timings = JSONOutput.object(
        compressed.map { .init($0.record.name, .number(seconds[$0.record.name] ?? 0)) }
          + [.init("steps", StepTime.json(steps))])
      try assemble(
        tensors, unconverted: Self.matrixNames(copied), report: report, timings: timings)
    }
    try wrapping(ModelWritingError.output) { () throws(OutputFolderError) in
      try output.moveIntoPlace()
    }
    return totals
  }

  /// The names of matrices among tensors, without ".weight".
  private static func matrixNames(_ tensors: [StoredTensor]) -> [String] {
    let suffix = ".weight"
    return tensors.filter { $0.shape.count == 2 && $0.name.hasSuffix(suffix) }
      .map { String($0.name.dropLast(suffix.count)) }
  }

  // MARK: - Files

  /// Writes all files to `OutputFolder.assemblyPath`, and marks the model as ready to move.
  private func assemble(
    _ tensors: [StoredTensor], unconverted: [String], report: CompressionReport,
    timings: JSONOutput
  ) throws(ModelWritingError) {
    let assembly = ModelAssembly(output: output, checkpoint: checkpoint)
    let shards = try ShardPlan(tensors, largestShard: largestShard)
    let original = try wrapping(ModelWritingError.file) { () throws(FileError) in
      try assembly.sourceConfiguration()
    }
    let configuration = try QuantizationConfiguration(
      plan: plan, toolVersion: toolVersion, linears: report.linears, unconverted: unconverted,
      sourceDigest: sourceDigest
    ).added(to: original, path: "\(checkpoint.folder)/\(ModelAssembly.configurationName)")

    try wrapping(ModelWritingError.file) { () throws(FileError) in try assembly.begin() }
    let files = try assembly.writeWeights(shards)
    let report = CompressionReport(
      plan: report.plan, hiddenSize: report.hiddenSize, toolVersion: report.toolVersion,
      sourceDigest: report.sourceDigest, totals: report.totals, linears: report.linears,
      others: report.others, files: files)
    try wrapping(ModelWritingError.file) { () throws(FileError) in
      try assembly.copyOtherFiles()
      try assembly.write(report.json, to: CompressionReport.fileName)
      try assembly.write(timings, to: CompressionReport.timingsName)
      try assembly.write(configuration, to: ModelAssembly.configurationName)
    }
    try wrapping(ModelWritingError.output) { () throws(OutputFolderError) in
      try output.markReady()
    }
  }
}
