package import DuetRuntime
package import DuetSystem

/// A reason why a run cannot be begun, resumed or recorded.
package enum JournalError: DuetError, Equatable {
  /// The run in the folder compresses something else, or differently.
  case mismatch(path: String, differences: [Fingerprint.Difference])
  /// The description of the run in the folder cannot be read.
  case damaged(path: String)
  /// There is no run to resume.
  case nothingToResume(path: String)
  /// There is a run that must not be resumed and may not be deleted.
  case runExists(path: String)
  /// A file could not be read or written.
  case file(FileError)
  /// A file of a matrix could not be written.
  case safeTensors(SafeTensorsError)
  /// The source could not be read.
  case checkpoint(CheckpointError)

  /// The kind of trouble, for the exit code.
  package var category: FailureCategory {
    switch self {
    case .mismatch, .damaged, .nothingToResume: .resumable
    case .runExists: .usage
    case .file(let error): error.category
    case .safeTensors(let error): error.category
    case .checkpoint(let error): error.category
    }
  }

  /// The most differences that a message lists one by one.
  private static let listedDifferences = 8

  /// One sentence that names the folder and what to do.
  package var description: String {
    switch self {
    case .mismatch(let path, let differences):
      "\(printable(path)): the run to resume differs in \(Self.list(differences)); give what it was "
        + "begun with, another folder, or --resume never --force to start over"
    case .damaged(let path):
      "\(printable(path)): the state of the run to resume is damaged; give another folder, or "
        + "--resume never --force to start over"
    case .nothingToResume(let path):
      "\(printable(path)): there is no run to resume; leave --resume required out to begin one"
    case .runExists(let path):
      "\(printable(path)): there is an unfinished run; leave --resume never out to resume it, or add "
        + "--force to start over"
    case .file(let error): error.description
    case .safeTensors(let error): error.description
    case .checkpoint(let error): error.description
    }
  }

  /// The differences one after the other, with the values then and now.
  static func list(_ differences: [Fingerprint.Difference]) -> String {
    func text(_ value: String?) -> String { value.map { printable($0, limit: 80) } ?? "nothing" }
    let listed = differences.prefix(listedDifferences).map {
      "\(printable($0.name)) (then \(text($0.recorded)), now \(text($0.current)))"
    }
    let rest = differences.count - listed.count
    return listed.joined(separator: ", ") + (rest > 0 ? " and \(rest) more" : "")
  }
}
