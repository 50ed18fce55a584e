public import DuetSystem

/// A reason why a compression ended without a model: the error of the part that failed.
///
/// The parts throw errors of their own types, `CompressionDataError`, `JournalError`, `FileError` and others.
public struct CompressionError: DuetError {
  /// The error of the part.
  public let underlying: any DuetError

  init(_ underlying: any DuetError) { self.underlying = underlying }

  /// The kind of trouble, for the exit code.
  public var category: FailureCategory { underlying.category }

  /// One sentence that says what is wrong and what to do.
  public var description: String { underlying.description }
}
