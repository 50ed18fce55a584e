public import DuetSystem
public import DuetText

/// A reason why the weights of a checkpoint are not those that were written.
public enum ChecksumError: DuetError, Equatable {
  /// The folder has no record of checksums.
  case noRecord(folder: String)
  /// The record could not be read.
  case file(FileError)
  /// The record is not valid JSON.
  case recordNotJSON(JSONError)
  /// The record is JSON of the wrong shape.
  case malformedRecord(path: String, problem: String)
  /// The weights are in a file that the record does not name.
  case notRecorded(path: String, file: String)
  /// The record names a file that is not among the weights.
  case notThere(path: String, file: String)
  /// The bytes of a file are not those that were written.
  case mismatch(path: String, recorded: String, actual: String)

  /// The kind of trouble, for the exit code.
  public var category: FailureCategory {
    switch self {
    case .noRecord: .inputOutput
    case .file(let error): error.category
    default: .refusedData
    }
  }

  /// One sentence that names the file, what is wrong and what to do.
  public var description: String {
    switch self {
    case .noRecord(let folder):
      "\(printable(folder)): no compression_report.json to verify the weights by; only compressed "
        + "models have one, so leave out --verify"
    case .file(let error): error.description
    case .recordNotJSON(let error): error.description
    case .malformedRecord(let path, let problem): "\(printable(path)): \(problem)"
    case .notRecorded(let path, let file):
      "\(printable(path)): \"\(printable(file))\" has no checksum here; it belongs to another model"
    case .notThere(let path, let file):
      "\(printable(path)): \"\(printable(file))\" is recorded but not among the weights; fetch or "
        + "make the model anew"
    case .mismatch(let path, let recorded, let actual):
      "\(printable(path)): the SHA-256 is \(actual), recorded is \(printable(recorded)); the file "
        + "was changed or damaged, fetch or make the model anew"
    }
  }
}
