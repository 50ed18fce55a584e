package import DuetSystem

/// The exit codes of every executable, as `--help` documents them.
package enum ExitCode: Int32, Sendable, CaseIterable {
  /// All work was done.
  case success = 0
  /// The run failed.
  case failure = 1
  /// The command line could not be understood.
  case usage = 2
  /// A model or data file was refused.
  case refusedData = 3
  /// A file is missing, unreadable or unwritable, or the disk is full.
  case inputOutput = 4
  /// A computation produced no usable number.
  case numerical = 5
  /// Stopped but resumable, or the state to resume from does not match.
  case resumable = 6
  /// Stopped by SIGINT.
  case interrupted = 130
  /// The reader of standard output closed it; the code that a shell shows for SIGPIPE.
  case outputClosed = 141
  /// Stopped by SIGTERM.
  case terminated = 143

  /// The exit code for an error of the given category.
  package init(_ category: FailureCategory) {
    self =
      switch category {
      case .refusedData: .refusedData
      case .inputOutput: .inputOutput
      case .numerical: .numerical
      case .usage: .usage
      case .resumable: .resumable
      case .failure: .failure
      }
  }

  /// The description of this code in `--help`.
  var meaning: String {
    switch self {
    case .success: "done"
    case .failure: "failed while running"
    case .usage: "the command line could not be understood"
    case .refusedData: "a model or data file was refused"
    case .inputOutput: "a file is missing, unreadable or unwritable, or the disk is full"
    case .numerical: "a computation produced no usable number"
    case .resumable: "stopped but resumable, or the state to resume from does not match"
    case .interrupted: "stopped by SIGINT (Ctrl-C)"
    case .outputClosed: "the reader of standard output went away"
    case .terminated: "stopped by SIGTERM"
    }
  }
}
