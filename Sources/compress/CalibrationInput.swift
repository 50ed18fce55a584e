import DuetCommandLine
import DuetCompressor
import DuetEvaluation
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
    if paths.isEmpty, try hasText(bundled) {
      paths = [bundled]
      messages.detail("calibration text: \(printable(bundled))")
    }
    if paths.isEmpty {
      guard isNeeded else { return nil }
      throw UsageError.missingOption("--calibration", placeholder: "FILE")
    }
    let tokenizer = try messages.loadTokenizer(folder)
    let texts = try paths.map(calibrationText)
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

  /// Whether there is a file at `path` that is not empty; one that cannot be read is an error.
  private static func hasText(_ path: String) throws(FileError) -> Bool {
    do throws(FileError) {
      return try !readFile(path, limit: Options.largestText).isEmpty
    } catch {
      guard case .notFound = error else { throw error }
      return false
    }
  }

  private static func calibrationText(_ path: String) throws -> CalibrationText {
    do {
      return try CalibrationText(readFile(path, limit: Options.largestText), path: path)
    } catch PerplexityError.invalidUTF8(let path, let byteOffset) {
      // Its own message names --lossy, which `compress` does not have.
      throw CompressCommandError.invalidUTF8(path: path, byteOffset: byteOffset)
    }
  }
}
