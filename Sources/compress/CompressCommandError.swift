import DuetSystem

/// An error that prevents the start of a compression although the command line is valid.
enum CompressCommandError: DuetError, Equatable {
  /// More memory is needed than is available or allowed.
  case notEnoughMemory(needed: Int, limit: Int, isGiven: Bool)
  /// The source is a compressed model.
  case alreadyCompressed(folder: String)
  /// The model to tune is not compressed.
  case notCompressed(folder: String)
  /// The original has another vocabulary than the compressed model.
  case otherVocabulary(folder: String, size: Int, expected: Int)
  /// There are fewer samples than those of a step and those held out.
  case tooFewSamples(count: Int, needed: Int)
  /// `--keep` excludes all matrices from compression.
  case nothingToCompress
  /// A calibration text has a byte that is not UTF-8, at this offset.
  case invalidUTF8(path: String, byteOffset: Int)

  var category: FailureCategory {
    switch self {
    case .notEnoughMemory: .inputOutput
    case .alreadyCompressed, .notCompressed, .otherVocabulary, .invalidUTF8: .refusedData
    case .nothingToCompress, .tooFewSamples: .usage
    }
  }

  var description: String {
    switch self {
    case .notEnoughMemory(let needed, let limit, let isGiven):
      "the run needs about \(ByteCount(needed).text) of memory, more than the "
        + "\(ByteCount(limit).text) that "
        + (isGiven ? "--memory-limit allows" : "are available; --memory-limit overrides that")
    case .alreadyCompressed(let folder):
      "\(printable(folder)): this model is compressed already; give the dense checkpoint"
    case .notCompressed(let folder):
      "\(printable(folder)): this model is not compressed; give a folder that compress has written"
    case .otherVocabulary(let folder, let size, let expected):
      "\(printable(folder)): the original has a vocabulary of \(size), the compressed model one of \(expected); "
        + "give the model that it was made from"
    case .tooFewSamples(let count, let needed):
      "\(count) samples are fewer than the \(needed) of a step and those held out; give more with --samples, or "
        + "fewer with --batch or --held-out"
    case .nothingToCompress: "--keep leaves no matrix to compress"
    case .invalidUTF8(let path, let byteOffset):
      "\(printable(path)): byte \(byteOffset) is not UTF-8; convert the file to UTF-8"
    }
  }
}
