import DuetCommandLine
import DuetCompressor
import DuetSystem
import DuetText

extension CalibrationSamples {
  /// The samples of the texts of `--calibration`, or of `calibration.txt` in the model's folder.
  ///
  /// - Parameters:
  ///   - folder: The model's folder.
  ///   - arguments: The arguments of a command that has the calibration options.
  ///   - plan: The number and length of samples, and the seed.
  ///   - messages: The output for a warning about fewer samples.
  ///   - isNeeded: Whether a missing text is an error.
  /// - Returns: The samples, or nil without a text.
  /// - Throws: `UsageError`, errors of files and of the tokenizer, and
  ///   `CompressionDataError.calibrationTooShort`.
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
    let tokenizer = try messages.loadTokenizer(folder)
    let texts = try paths.map { path in
      try CalibrationText(readFile(path, limit: Options.largestText), path: path)
    }
    let samples = try messages.encoding("calibration text", with: tokenizer) {
      try CalibrationSamples(
        texts, tokenizer: tokenizer, sampleCount: plan.sampleCount,
        contextLength: plan.contextLength, seed: plan.seed,
        allowsFewer: !arguments.isGiven(Options.samples))
    }
    if samples.sampleCount < plan.sampleCount {
      messages.warning(
        "the calibration text has \(samples.availableTokenCount) tokens, enough for "
          + "\(samples.sampleCount) samples of \(plan.contextLength), not \(plan.sampleCount)")
    }
    return samples
  }
}
