internal import DuetRuntime
internal import DuetSystem
internal import DuetText

/// The writer of a tuned model: an ordinary compressed folder.
///
/// config.json, the tokenizer and the codes are copied. compression_report.json is that of the compressed model with
/// the digests of the new files and a member `tuning`; the errors of the matrices in it are those from before.
struct TunedModelWriter {
  private let compressed: Checkpoint
  private let output: OutputFolder
  private let options: TuningOptions
  private let samples: CalibrationSamples

  init(
    _ compressed: Checkpoint, _ output: OutputFolder, _ options: TuningOptions,
    _ samples: CalibrationSamples
  ) {
    self.compressed = compressed
    self.output = output
    self.options = options
    self.samples = samples
  }

  /// Writes the model and moves it into its place; the run is over when this returns.
  ///
  /// - Parameters:
  ///   - changed: The tensors with tuned numbers.
  ///   - summary: The figures of the run.
  /// - Throws: `ModelWritingError`, `CheckpointError`, `JSONError`.
  func write(_ changed: [StoredTensor], _ summary: TuningSummary) throws {
    if !output.isReadyToMove {
      let replaced = Set(changed.map(\.name))
      var tensors = changed
      for name in compressed.names where !replaced.contains(name) {
        if let tensor = try compressed.tensor(named: name) { tensors.append(tensor) }
      }
      let assembly = ModelAssembly(output: output, checkpoint: compressed)
      let shards = try ShardPlan(
        tensors, largestShard: CompressedModelWriter.defaultLargestShard)
      let configuration = try assembly.sourceConfiguration()
      try assembly.begin()
      let files = try assembly.writeWeights(shards)
      try assembly.copyOtherFiles()
      try assembly.write(report(summary, files), to: CompressionReport.fileName)
      try assembly.write(configuration, to: ModelAssembly.configurationName)
      try output.markReady()
    }
    try output.moveIntoPlace()
  }

  /// The report of the compressed model, with the figures of the tuning.
  private func report(
    _ summary: TuningSummary, _ files: [(name: String, digest: String)]
  ) throws -> JSONOutput {
    let digests = JSONOutput.Member(
      "sha256", .object(files.map { .init($0.name, .string($0.digest)) }))
    let tuning = JSONOutput.Member("tuning", .object(members(summary)))
    let path = "\(compressed.folder)/\(CompressionReport.fileName)"
    guard fileExists(path) else { return .object([tuning, digests]) }
    let document = try JSONDocument(contentsOf: path, limits: JSONLimits(byteCount: 64_000_000))
    guard case .object(let members) = JSONOutput(document.root) else {
      return .object([tuning, digests])
    }
    let kept = members.filter { !["sha256", "tuning"].contains($0.name) }
    return .object(kept + [tuning, digests])
  }

  private func members(_ summary: TuningSummary) -> [JSONOutput.Member] {
    options.members + [
      .init("samples", .integer(samples.sampleCount)),
      .init("context", .integer(samples.contextLength)),
      .init("parameters", .integer(summary.parameterCount)),
      .init("steps_done", .integer(summary.steps)),
      .init("checks", .array(summary.checks.map(\.json))),
      .init("losses", .array(summary.losses.map { .number($0) })),
      .init("best_step", summary.best.map { .integer($0.step) } ?? .null),
    ]
  }
}
