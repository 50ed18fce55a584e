public import DuetSystem

/// A reason why a session cannot be saved or opened again.
public enum SessionFileError: DuetError, Equatable {
  /// The file could not be read or written.
  case file(FileError)
  /// The file was not written by `Session.save`, or by another version.
  case otherKind(path: String)
  /// The file is incomplete or was changed.
  case damaged(path: String)
  /// The session ran another model, or with another type of cache or activations.
  case otherModel(path: String)
  /// The session has more tokens than the context holds.
  case contextTooShort(path: String, tokenCount: Int, contextLength: Int)
  /// The model's files could not be read.
  case model(CheckpointError)

  /// The kind of trouble, for the exit code.
  public var category: FailureCategory {
    switch self {
    case .file(let error): error.category
    case .otherKind, .damaged, .otherModel: .refusedData
    case .contextTooShort: .usage
    case .model(let error): error.category
    }
  }

  /// One sentence that names the file, what is wrong and what to do.
  public var description: String {
    switch self {
    case .file(let error): error.description
    case .otherKind(let path):
      "\(printable(path)) is not a session of this version; choose another name"
    case .damaged(let path):
      "\(printable(path)): the session is incomplete or damaged; delete the file"
    case .otherModel(let path):
      "\(printable(path)) is a session of another model, or with another --kv-cache or --activations; "
        + "use the same model and options, or choose another name"
    case .contextTooShort(let path, let tokenCount, let contextLength):
      "\(printable(path)) has \(tokenCount) tokens and the context holds \(contextLength); use a larger "
        + "--context"
    case .model(let error): error.description
    }
  }
}

/// The tokens of a session and their keys and values, in a file.
///
/// With it a long text need not be evaluated again. The keys and values are those of one model, bound to it by a digest of
/// its configuration and of a sample of every tensor, and to the types of the cache and of the activations.
///
/// Contents of the sealed file, little-endian: the digest, 32 bytes; the number of bytes of the note and of tokens, 2 x 8
/// bytes; the note; the tokens, 4 bytes each; the keys and values.
public struct SessionFile: Sendable {
  static let mark = "duet session 1\n\n"
  private static let headerByteCount = 32 + 2 * 8

  private let file: SealedFile
  /// What the caller saved with the session, such as the text of the conversation.
  public let note: [UInt8]
  /// The evaluated tokens.
  public let tokens: [Int]
  /// The digest of the model and of how it ran.
  let run: [UInt8]

  /// Opens a file; the keys and values are read by `Session.restore(_:)`.
  ///
  /// - Throws: `SessionFileError`.
  /// - Complexity: O(bytes), for the checksum.
  public init(contentsOf path: String) throws(SessionFileError) {
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
    let header = file.prefix(Self.headerByteCount)
    guard header.count == Self.headerByteCount else { throw .damaged(path: path) }
    func size(_ index: Int) -> UInt64 {
      (0..<8).reduce(0) { $0 | UInt64(header[32 + 8 * index + $1]) << (8 * $1) }
    }
    let rest = UInt64(file.byteCount - header.count)
    let (noteCount, tokenCount) = (size(0), size(1))
    guard noteCount <= rest, tokenCount <= (rest - noteCount) / 4 else {
      throw .damaged(path: path)
    }
    let tokensStart = header.count + Int(noteCount)
    let bytes = file.bytes(header.count..<tokensStart + 4 * Int(tokenCount))
    note = Array(bytes.prefix(Int(noteCount)))
    tokens = (0..<Int(tokenCount)).map { index in
      (0..<4).reduce(0) { $0 | Int(bytes[Int(noteCount) + 4 * index + $1]) << (8 * $1) }
    }
    run = Array(header.prefix(32))
    self.file = file
  }

  /// Whether a file begins as sessions do; false when it cannot be read.
  public static func isSession(_ path: String) -> Bool {
    (try? SealedFile.uncheckedPrefix(0, of: path, mark: mark)) != nil
  }

  /// Checks that a session can be written to a path, before the work that it would keep.
  ///
  /// - Throws: `SessionFileError.file`.
  public static func checkWriting(to path: String) throws(SessionFileError) {
    do throws(FileError) {
      // Without a commit nothing remains of it.
      _ = try AtomicFile(path: path)
    } catch {
      throw .file(error)
    }
  }

  /// Where the file is.
  public var path: String { file.path }

  /// The keys and values.
  var cache: RawSpan {
    @_lifetime(borrow self)
    get {
      let start = Self.headerByteCount + note.count + 4 * tokens.count
      return file.contents.extracting(start..<file.byteCount)
    }
  }

  /// The contents before the keys and values.
  static func header(run: [UInt8], note: [UInt8], tokens: [Int]) -> [UInt8] {
    precondition(run.count == 32, "a digest of \(run.count) bytes")
    var result = run
    for size in [note.count, tokens.count] {
      result += (0..<8).map { UInt8(truncatingIfNeeded: size >> (8 * $0)) }
    }
    result += note
    for token in tokens { result += (0..<4).map { UInt8(truncatingIfNeeded: token >> (8 * $0)) } }
    return result
  }
}
