package import DuetRuntime
package import DuetSystem
package import DuetText

/// A reason why a compressed model could not be written.
package enum ModelWritingError: DuetError, Equatable {
  /// config.json of the source is no JSON object.
  case configuration(JSONError)
  /// The source says that its weights are quantised already.
  case alreadyQuantized(path: String)
  /// Two tensors would have the same name.
  case tensorTwice(tensor: String)
  /// A file could not be read or written.
  case file(FileError)
  /// A file of weights could not be written.
  case safeTensors(SafeTensorsError)
  /// The source could not be read.
  case checkpoint(CheckpointError)
  /// The output folder could not be used.
  case output(OutputFolderError)

  /// The kind of trouble, for the exit code.
  package var category: FailureCategory {
    switch self {
    case .alreadyQuantized, .tensorTwice: .refusedData
    case .configuration(let error): error.category
    case .file(let error): error.category
    case .safeTensors(let error): error.category
    case .checkpoint(let error): error.category
    case .output(let error): error.category
    }
  }

  /// One sentence that names the file and what is wrong.
  package var description: String {
    switch self {
    case .configuration(let error): error.description
    case .alreadyQuantized(let path):
      "\(printable(path)): the weights are quantised already (\"quantization_config\"); give the "
        + "original model"
    case .tensorTwice(let tensor):
      "the compressed model would have two tensors called \"\(printable(tensor))\"; the source has "
        + "names that only compressed models use"
    case .file(let error): error.description
    case .safeTensors(let error): error.description
    case .checkpoint(let error): error.description
    case .output(let error): error.description
    }
  }
}
