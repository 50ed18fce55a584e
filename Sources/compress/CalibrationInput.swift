import DuetCommandLine
import DuetCompressor
import DuetSystem
import DuetText

extension CalibrationSamples {
  /// The samples of the texts that `--calibration` names, or of the text that came with the model.
  ///
  /// - Parameters:
  ///   - folder: The model's folder.
  ///   - arguments: Those of a command with the options about calibration.
  ///   - plan: The number and length of samples, and the seed.
  ///   - messages: Where a warning of fewer samples goes.
  ///   - isNeeded: Whether to refuse when there is no text.
  /// - Returns: The samples, or nil without a text.
  /// - Throws: `UsageError`, errors of files, of the tokenizer, `CompressionDataError.calibrationTooShort`.
  static func reading(
    _ folder: String, _ arguments: Arguments, _ plan: CompressionPlan, _ messages: Messages,
    isNeeded: Bool
  ) throws -> CalibrationSamples? {
    var paths = arguments[Options.calibration]
    let bundled = "\(folder)/\(Options.bundledText)"
    if paths.isEmpty, let size = try? readFile(bundled, limit: Options.largestText).count, size > 0
    {
      paths = [bundled]
      messages.detail("calibration text: \(printable(bundled))")
    }
    if paths.isEmpty {
      guard isNeeded else { return nil }
      throw UsageError.missingOption("--calibration", placeholder: "FILE")
    }
    let tokenizer = try Tokenizer(contentsOf: folder)
    let texts = try paths.map { path in
      try CalibrationText(readFile(path, limit: Options.largestText), path: path)
    }
    let samples = try CalibrationSamples(
      texts, tokenizer: tokenizer, sampleCount: plan.sampleCount,
      contextLength: plan.contextLength, seed: plan.seed,
      allowsFewer: !arguments.isGiven(Options.samples))
    if samples.sampleCount < plan.sampleCount {
      messages.warning(
        "the calibration text has \(samples.availableTokenCount) tokens, enough for "
          + "\(samples.sampleCount) samples of \(plan.contextLength), not \(plan.sampleCount)")
    }
    return samples
  }
}
