package import DuetSystem

/// A reason why a folder cannot take a compressed model.
package enum OutputFolderError: DuetError, Equatable {
  /// The output is the folder of the model that is to be compressed.
  case sameAsSource(path: String)
  /// The output is inside the folder of the model that is to be compressed.
  case insideSource(path: String, source: String)
  /// Two outputs are the same folder, or one is inside the other.
  case overlapping(path: String, other: String)
  /// There are files in the output, and no run to resume.
  case notEmpty(path: String)
  /// Another process is writing to the output.
  case locked(path: String)
  /// The file system of the output refuses locks.
  case noLocks(path: String, code: Int32)
  /// The disk has too little free space.
  case notEnoughSpace(path: String, neededBytes: Int, freeBytes: Int)
  /// An operation on a file failed.
  case file(FileError)

  /// The kind of trouble, for the exit code.
  package var category: FailureCategory {
    switch self {
    case .sameAsSource, .insideSource, .overlapping, .notEmpty: .usage
    case .locked, .noLocks, .notEnoughSpace: .inputOutput
    case .file(let error): error.category
    }
  }

  /// One sentence that names the folder and what to do.
  package var description: String {
    switch self {
    case .sameAsSource(let path):
      "\(printable(path)): the output is the model itself; give another folder"
    case .insideSource(let path, let source):
      "\(printable(path)): the output is inside the model \(printable(source)); give a folder "
        + "elsewhere"
    case .overlapping(let path, let other):
      "\(printable(path)): the folder of the dense weights and the output \(printable(other)) must lie "
        + "apart; give another folder"
    case .notEmpty(let path):
      "\(printable(path)): the output is not empty and holds no run to resume; give another folder, "
        + "or --force to replace the model in it once the new one is complete"
    case .locked(let path):
      "\(printable(path)): another process is writing to this folder; wait for it or give another "
        + "folder"
    case .noLocks(let path, let code):
      "\(printable(path)): the file system refuses to lock files (\(systemMessage(code))), so two runs could "
        + "write here without noticing; give a folder on another one, or have this one mounted with locks"
    case .notEnoughSpace(let path, let needed, let free):
      "\(printable(path)): too little space on the disk: \(needed) bytes are needed, \(free) are free"
    case .file(let error): error.description
    }
  }
}
