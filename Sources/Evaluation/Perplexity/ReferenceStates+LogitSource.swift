public import DuetRuntime
internal import DuetSystem

/// A reference whose states are written to a file while it runs.
public struct RecordedReference: ~Copyable, LogitSource {
  private var session: Session
  private let recorder: Recorder

  /// The file, in a class because a closure cannot change what is not copied.
  private final class Recorder {
    private var file: SealedFileWriter
    private var failure: FileError?

    init(_ file: consuming SealedFileWriter) { self.file = file }

    /// Appends states; an error of the disk is kept until `finish()`.
    func append(_ states: RawSpan) {
      guard failure == nil else { return }
      do throws(FileError) {
        try file.append(states)
      } catch {
        failure = error
      }
    }

    func finish() throws(FileError) {
      if let failure { throw failure }
      try file.commit()
    }
  }

  /// Begins the file.
  ///
  /// - Parameters:
  ///   - session: The reference.
  ///   - path: The file, which appears complete with `finish()` or not at all.
  ///   - run: `ReferenceStates.run(_:cacheType:activations:plan:)`.
  ///   - rowCount: The number of predictions that will be made.
  /// - Throws: `ReferenceStatesError.file`.
  public init(
    _ session: consuming Session, recordingTo path: String, run: [UInt8], rowCount: Int
  ) throws(ReferenceStatesError) {
    let hiddenSize = session.model.configuration.hiddenSize
    let header = ReferenceStates.header(run, rowCount, hiddenSize)
    do throws(FileError) {
      var file = try SealedFileWriter(
        path: path, mark: ReferenceStates.mark,
        byteCount: header.count + rowCount * hiddenSize * MemoryLayout<Float>.stride)
      try file.append(header)
      recorder = Recorder(file)
    } catch {
      throw .file(error)
    }
    self.session = session
  }

  /// The number of logits after each token.
  public var vocabularySize: Int { session.vocabularySize }

  /// Removes all tokens.
  public mutating func restart() { session.restart() }

  /// Evaluates tokens whose logits are not needed.
  ///
  /// - Throws: `GenerationError`.
  public mutating func append(
    _ tokens: [Int], isCancelled: () -> Bool
  ) throws(GenerationError) {
    try session.append(tokens, isCancelled: isCancelled)
  }

  /// Evaluates tokens, records their states, and calls `body` with the logits after each.
  ///
  /// - Throws: `GenerationError`.
  public mutating func evaluate(
    _ tokens: [Int], isCancelled: () -> Bool,
    _ body: (_ index: Int, _ logits: Span<Float>) -> Void
  ) throws(GenerationError) {
    try session.evaluate(tokens, isCancelled: isCancelled, states: recorder.append, body)
  }

  /// Completes the file.
  ///
  /// - Throws: `ReferenceStatesError.file`, also for an earlier error of the disk.
  public func finish() throws(ReferenceStatesError) {
    do throws(FileError) {
      try recorder.finish()
    } catch {
      throw .file(error)
    }
  }
}

/// A reference that does not run: its states are in a file, and only its output head is computed.
public struct StoredReference: ~Copyable, LogitSource {
  private var session: Session
  private let states: ReferenceStates
  private var row = 0

  /// A reference with states of the same model.
  public init(_ session: consuming Session, _ states: ReferenceStates) {
    self.session = session
    self.states = states
  }

  /// The number of logits after each token.
  public var vocabularySize: Int { session.vocabularySize }

  /// Does nothing: the states come in the order of the windows.
  public mutating func restart() {}

  /// Does nothing: only scored predictions have states.
  public mutating func append(
    _ tokens: [Int], isCancelled: () -> Bool
  ) throws(GenerationError) {}

  /// Calls `body` with the logits of the next predictions.
  ///
  /// - Throws: `GenerationError`.
  public mutating func evaluate(
    _ tokens: [Int], isCancelled: () -> Bool,
    _ body: (_ index: Int, _ logits: Span<Float>) -> Void
  ) throws(GenerationError) {
    if isCancelled() { throw .cancelled }
    precondition(row + tokens.count <= states.rowCount, "more predictions than states")
    let states = states
    try session.evaluate(
      states: states.bytes(row..<row + tokens.count), count: tokens.count, body)
    row += tokens.count
  }
}
