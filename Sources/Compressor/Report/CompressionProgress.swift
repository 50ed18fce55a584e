/// The step that a compression is doing.
public enum CompressionPhase: Sendable, Hashable {
  /// Reading and checking the source and the journal. Progress is in bytes.
  case preparing
  /// Running the samples forward and backward through the original model, for the derivatives of its loss.
  /// Progress is in tokens.
  case differentiating
  /// Running the samples through a layer and analysing its matrices. Progress is in tokens.
  case analyzing(layer: Int)
  /// Running the samples through a layer for its Hessians. Progress is in tokens.
  case calibrating(layer: Int)
  /// Decomposing the matrices of a layer. Progress is in matrices of the layer.
  case decomposing(layer: Int)
  /// Running the samples through a layer for the inputs of the next. Progress is in tokens.
  case advancing(layer: Int)
  /// Packing the embedding and measuring what that costs. Progress is in tokens of the measurement.
  case packingEmbedding
  /// Packing the output head. Progress is in rows.
  case packingHead
  /// Turning the compressed matrices into dense ones again. Progress is in matrices.
  case exporting
  /// Writing the files of the compressed model. Progress is in bytes.
  case writing
}

/// A receiver of the progress of a compression, which may also stop it.
///
/// All members are called by the thread that runs the compression, between two steps, so an observer needs no
/// locks but should be quick.
public protocol CompressionObserver {
  /// Tells that a phase begins; the one before has ended.
  func phaseBegan(_ phase: CompressionPhase)

  /// Tells how much of the phase is done, in the unit of the phase.
  func progressed(_ done: Int, of total: Int)

  /// Tells that a matrix is done and safe in the journal.
  ///
  /// - Parameters:
  ///   - record: The figures of the matrix.
  ///   - seconds: The time that the matrix took, or nil when it was in the journal already.
  func finished(_ record: MatrixRecord, seconds: Double?)

  /// Tells that the journal's file of a matrix is damaged or of another run, so that the matrix is compressed
  /// again.
  func refusedPart(of name: String)

  /// Whether to stop; read after every matrix and from time to time during calibration.
  var isCancelled: Bool { get }
}

extension CompressionObserver {
  /// Does nothing.
  public func phaseBegan(_ phase: CompressionPhase) {}
  /// Does nothing.
  public func progressed(_ done: Int, of total: Int) {}
  /// Does nothing.
  public func finished(_ record: MatrixRecord, seconds: Double?) {}
  /// Does nothing.
  public func refusedPart(of name: String) {}
  /// Never.
  public var isCancelled: Bool { false }
}

/// An observer that does nothing.
struct SilentObserver: CompressionObserver {}

/// The result of a run of the compression.
public struct CompressionSummary: Sendable, Hashable {
  /// Whether the compressed model is complete; if not, the run was cancelled and can be resumed.
  public var isComplete = false
  /// The matrices that are done, also in earlier runs, in the order of the model.
  public var records: [MatrixRecord] = []
  /// The embedding, when it is compressed.
  public var embedding: MatrixRecord?
  /// The number of records that came from the journal.
  public var resumedCount = 0
  /// The number of matrices of the plan.
  public var matrixCount = 0
  /// The bytes of the tensors of the source.
  public var sourceByteCount = 0
  /// The bytes of the tensors of the result, 0 when it is not complete.
  public var byteCount = 0
  /// The duration of this run, in seconds.
  public var seconds = 0.0
  /// The time of each step of this run, in the order of `CompressionStep`.
  public var steps: [StepTime] = []

  /// An empty summary.
  public init() {}

  /// The unweighted mean of the relative errors of the matrices; nil without matrices.
  public var meanRelativeError: Double? {
    guard !records.isEmpty else { return nil }
    return records.reduce(0) { $0 + $1.relativeError } / Double(records.count)
  }

  /// The matrix with the largest relative error, the first if there are several; nil without matrices.
  public var worstRecord: MatrixRecord? {
    records.max { $0.relativeError < $1.relativeError }
  }

  /// How many times smaller the result is than the source; nil when there is no result.
  public var reduction: Double? {
    byteCount > 0 ? Double(sourceByteCount) / Double(byteCount) : nil
  }
}
