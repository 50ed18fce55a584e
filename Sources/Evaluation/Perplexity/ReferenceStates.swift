public import DuetRuntime
public import DuetSystem

/// A reason why the states of a reference cannot be used.
public enum ReferenceStatesError: DuetError, Equatable {
  /// The file could not be read or written.
  case file(FileError)
  /// The file is no file of states, or one of another version.
  case otherKind(path: String)
  /// The file is incomplete or was changed.
  case damaged(path: String)
  /// The states belong to another model, text, protocol, context or type of cache.
  case otherRun(path: String)

  /// The category of the error, for the exit code.
  public var category: FailureCategory {
    switch self {
    case .file(let error): error.category
    case .otherKind, .damaged, .otherRun: .refusedData
    }
  }

  /// A sentence that describes the error and how to resolve it.
  public var description: String {
    switch self {
    case .file(let error): error.description
    case .otherKind(let path):
      "\(printable(path)) was not written by --reference-states of this version; choose another name"
    case .damaged(let path):
      "\(printable(path)): the states of the reference are incomplete or damaged; delete the file"
    case .otherRun(let path):
      "\(printable(path)) has the states of another model, text, protocol or context; delete the file "
        + "or choose another name"
    }
  }
}

/// What a reference computes for a plan of windows: the residual stream behind its last layer after every token whose
/// prediction is scored, in a file.
///
/// From it the logits need only the output head, so that many models are compared with one reference at a fraction of the
/// cost. The numbers are those of the run that wrote them, and so are all results, bit for bit.
///
/// Contents of the `SealedFile`, little-endian: a digest of what the states belong to, 32 bytes; their sizes, 2 x 8
/// bytes; the states as F32, (prediction, hiddenSize).
public struct ReferenceStates: Sendable {
  static let mark = "duet reference 1"
  static let headerByteCount = 32 + 2 * 8

  private let file: SealedFile
  /// The number of predictions.
  public let rowCount: Int
  /// The numbers of each.
  public let hiddenSize: Int

  /// Opens a file.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - run: What the states must belong to; see `run(_:_:_:_:)`.
  ///   - rowCount: The number of predictions.
  ///   - hiddenSize: The width of the reference.
  /// - Throws: `ReferenceStatesError`.
  /// - Complexity: O(bytes), for the checksum.
  public init(
    contentsOf path: String, run: [UInt8], rowCount: Int, hiddenSize: Int
  ) throws(ReferenceStatesError) {
    let file: SealedFile
    do throws(SealedFileError) {
      file = try SealedFile(contentsOf: path, mark: Self.mark)
    } catch {
      switch error {
      case .file(let error): throw .file(error)
      case .otherKind(let path): throw .otherKind(path: path)
      case .damaged(let path): throw .damaged(path: path)
      }
    }
    let header = Self.header(run, rowCount, hiddenSize)
    let byteCount = header.count + rowCount * hiddenSize * MemoryLayout<Float>.stride
    guard file.byteCount == byteCount, file.prefix(header.count) == header
    else { throw .otherRun(path: path) }
    self.file = file
    self.rowCount = rowCount
    self.hiddenSize = hiddenSize
  }

  /// The states of some predictions, (rows.count, hiddenSize), as bytes.
  @_lifetime(borrow self)
  func bytes(_ rows: Range<Int>) -> RawSpan {
    let size = hiddenSize * MemoryLayout<Float>.stride
    let start = Self.headerByteCount
    return file.contents.extracting(start + rows.lowerBound * size..<start + rows.upperBound * size)
  }

  static func header(_ run: [UInt8], _ rowCount: Int, _ hiddenSize: Int) -> [UInt8] {
    precondition(run.count == 32, "a digest of \(run.count) bytes")
    return [rowCount, hiddenSize].reduce(run) { bytes, size in
      bytes + (0..<8).map { UInt8(truncatingIfNeeded: size >> (8 * $0)) }
    }
  }

  /// What states belong to: a digest of a reference, of how it runs, and of the tokens of all windows.
  ///
  /// - Parameters:
  ///   - model: The reference.
  ///   - cacheType: The type of its keys and values.
  ///   - activations: The type of its activations.
  ///   - plan: The windows.
  /// - Returns: The digest, 32 bytes.
  /// - Throws: `FileError` or `CheckpointError` when the reference cannot be read.
  public static func run(
    _ model: Model, cacheType: KVCacheType, activations: ActivationType, plan: WindowPlan
  ) throws -> [UInt8] {
    var hash = SHA256()
    let settings =
      "\(try model.checkpoint.identity()) \(cacheType.rawValue) \(activations.rawValue)\n"
    hash.update(Array(settings.utf8).span)
    for index in 0..<plan.windowCount {
      let window = plan[index]
      let text = "\(window.inputs) \(window.targets.count)\n"
      hash.update(Array(text.utf8).span)
    }
    return hash.finalized()
  }
}
