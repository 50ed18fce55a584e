package import DuetRuntime
package import DuetSystem

/// A reason why a layer could not be calibrated.
package enum LayerCalibrationError: DuetError, Equatable {
  /// The hidden states could not be read or written.
  case file(FileError)
  /// The activations are not finite.
  case compressor(CompressionDataError)
  /// A token of the samples is not in the model's vocabulary.
  case model(GenerationError)
  /// The caller's `isCancelled` returned true.
  case cancelled

  /// The kind of trouble, for the exit code.
  package var category: FailureCategory {
    switch self {
    case .file(let error): error.category
    case .compressor(let error): error.category
    case .model(let error): error.category
    case .cancelled: .failure
    }
  }

  /// One sentence that says what is wrong.
  package var description: String {
    switch self {
    case .file(let error): error.description
    case .compressor(let error): error.description
    case .model(let error): error.description
    case .cancelled: "stopped"
    }
  }
}
