/// What a compression is busy with.
public enum CompressionPhase: Sendable, Hashable {
  /// Reading and checking: the source's digest, a journal to go on from. Progress is in bytes.
  case preparing
  /// Running the samples through a layer to see what its matrices need. Progress is in tokens.
  case analyzing(layer: Int)
  /// Running the samples through a layer for its Hessians. Progress is in tokens.
  case calibrating(layer: Int)
  /// Decomposing the matrices of a layer. Progress is in matrices of the layer.
  case decomposing(layer: Int)
  /// Running the samples through a layer for the inputs of the next. Progress is in tokens.
  case advancing(layer: Int)
  /// Packing the output head. Progress is in rows.
  case packingHead
  /// Turning the compressed matrices into dense ones again. Progress is in matrices.
  case exporting
  /// Writing the files of the compressed model. Progress is in bytes.
  case writing
}

/// Who is told how far a compression has come, and who may stop it.
///
/// All members are called by the thread that runs the compression, between two steps of it, so an
/// observer needs no locks but should be quick.
public protocol CompressionObserver {
  /// Tells that a phase begins; the one before has ended.
  func phaseBegan(_ phase: CompressionPhase)

  /// Tells how much of the phase is done, in the unit of the phase.
  func progressed(_ done: Int, of total: Int)

  /// Tells that a matrix is done and safe in the journal.
  ///
  /// - Parameters:
  ///   - record: What the report says of it.
  ///   - seconds: The time that it took, or nil for one that was in the journal already.
  func finished(_ record: MatrixRecord, seconds: Double?)

  /// Whether to stop: looked at after every matrix and now and then during calibration.
  var isCancelled: Bool { get }
}

extension CompressionObserver {
  /// Does nothing.
  public func phaseBegan(_ phase: CompressionPhase) {}
  /// Does nothing.
  public func progressed(_ done: Int, of total: Int) {}
  /// Does nothing.
  public func finished(_ record: MatrixRecord, seconds: Double?) {}
  /// Never.
  public var isCancelled: Bool { false }
}

/// An observer that is told and does nothing.
struct SilentObserver: CompressionObserver {}

/// How a compression ended.
public struct CompressionSummary: Sendable, Hashable {
  /// Whether the compressed model is there; if not, the run was cancelled and can be resumed.
  public var isComplete = false
  /// The matrices that are done, in the order of the model, those of earlier runs included.
  public var records: [MatrixRecord] = []
  /// How many of them came from the journal.
  public var resumedCount = 0
  /// The number of matrices of the plan.
  public var matrixCount = 0
  /// The bytes of the tensors of the source.
  public var sourceByteCount = 0
  /// The bytes of the tensors of the result, 0 when it is not complete.
  public var byteCount = 0
  /// The duration of this run.
  public var seconds = 0.0

  /// An empty summary.
  public init() {}

  /// The mean of the relative errors of the matrices, each counting alike; nil without matrices.
  public var meanRelativeError: Double? {
    guard !records.isEmpty else { return nil }
    return records.reduce(0) { $0 + $1.relativeError } / Double(records.count)
  }

  /// The matrix with the largest relative error, the first of several.
  public var worstRecord: MatrixRecord? {
    records.max { $0.relativeError < $1.relativeError }
  }

  /// How many times smaller the result is than the source; nil when there is no result.
  public var reduction: Double? {
    byteCount > 0 ? Double(sourceByteCount) / Double(byteCount) : nil
  }
}
