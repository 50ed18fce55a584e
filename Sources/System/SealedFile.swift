/// A reason why a sealed file could not be read.
package enum SealedFileError: Error, Equatable {
  /// The system refused to read it.
  case file(FileError)
  /// It does not begin with the mark of its kind and version.
  case otherKind(path: String)
  /// It is shorter than it must be, or its checksum is another one.
  case damaged(path: String)
}

/// A file of one kind of data with a mark at the start and a checksum at the end.
///
/// Layout: a mark of 16 bytes that names the kind and its version; the contents; the SHA-256 digest of everything before
/// it, 32 bytes.
package struct SealedFile: Sendable {
  /// The bytes of a mark.
  package static let markByteCount = 16
  fileprivate static let digestByteCount = 32

  private let file: MappedFile

  /// Maps the file at `path` and compares its checksum.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - mark: 16 bytes of ASCII.
  /// - Throws: `SealedFileError`.
  /// - Complexity: O(bytes), all of which are read.
  package init(contentsOf path: String, mark: String) throws(SealedFileError) {
    do throws(FileError) {
      file = try MappedFile(contentsOf: path)
    } catch {
      throw .file(error)
    }
    let bytes = file.bytes
    guard bytes.byteCount >= Self.markByteCount,
      file.copyBytes(0..<Self.markByteCount) == Self.bytes(of: mark)
    else { throw .otherKind(path: path) }
    let end = bytes.byteCount - Self.digestByteCount
    guard end >= Self.markByteCount else { throw .damaged(path: path) }
    var hash = SHA256()
    hash.update(bytes.extracting(0..<end))
    guard hash.finalized() == file.copyBytes(end..<bytes.byteCount) else {
      throw .damaged(path: path)
    }
  }

  /// The first bytes of the contents of a file whose checksum is not compared; nil when it is too short or of another kind.
  ///
  /// - Throws: `FileError`.
  package static func uncheckedPrefix(
    _ count: Int, of path: String, mark: String
  ) throws(FileError) -> [UInt8]? {
    let file = try MappedFile(contentsOf: path)
    let end = markByteCount + count
    guard file.count >= end + digestByteCount, file.copyBytes(0..<markByteCount) == bytes(of: mark)
    else {
      return nil
    }
    return file.copyBytes(markByteCount..<end)
  }

  /// Where the file is.
  package var path: String { file.path }

  /// The bytes of the contents.
  package var byteCount: Int { file.count - Self.markByteCount - Self.digestByteCount }

  /// The contents.
  package var contents: RawSpan {
    @_lifetime(borrow self)
    get { file.bytes.extracting(Self.markByteCount..<Self.markByteCount + byteCount) }
  }

  /// The first `count` bytes of the contents, or all when there are fewer.
  package func prefix(_ count: Int) -> [UInt8] { bytes(0..<min(count, byteCount)) }

  /// Some bytes of the contents.
  package func bytes(_ range: Range<Int>) -> [UInt8] {
    file.copyBytes(range.lowerBound + Self.markByteCount..<range.upperBound + Self.markByteCount)
  }

  fileprivate static func bytes(of mark: String) -> [UInt8] {
    let result = Array(mark.utf8)
    precondition(result.count == markByteCount, "a mark of \(result.count) bytes")
    return result
  }

  /// The bytes of a file with contents of `byteCount` bytes.
  fileprivate static func size(contents byteCount: Int) -> Int {
    markByteCount + byteCount + digestByteCount
  }
}

/// A sealed file being written, which appears complete or not at all.
package struct SealedFileWriter: ~Copyable {
  private var file: AtomicFile
  private var hash: SHA256

  /// Begins a file.
  ///
  /// - Parameters:
  ///   - path: The final name.
  ///   - mark: 16 bytes of ASCII that name the kind and its version.
  ///   - byteCount: The bytes of the contents, for which disk space is reserved.
  ///   - isPrivate: Whether only its owner can read it.
  ///   - operations: The operations that write.
  /// - Throws: `FileError`.
  package init(
    path: String, mark: String, byteCount: Int, isPrivate: Bool = false,
    operations: FileOperations = .system
  ) throws(FileError) {
    var file = try AtomicFile(
      path: path, byteCount: SealedFile.size(contents: byteCount), isPrivate: isPrivate,
      operations: operations)
    let bytes = SealedFile.bytes(of: mark)
    try file.append(bytes)
    var hash = SHA256()
    hash.update(bytes.span)
    self.file = file
    self.hash = hash
  }

  /// Appends bytes to the contents.
  package mutating func append(_ bytes: RawSpan) throws(FileError) {
    hash.update(bytes)
    try file.append(bytes)
  }

  /// Appends bytes to the contents.
  package mutating func append(_ bytes: [UInt8]) throws(FileError) {
    hash.update(bytes.span)
    try file.append(bytes)
  }

  /// Writes the checksum, flushes the bytes to the disk and gives the file its name.
  package mutating func commit() throws(FileError) {
    try file.append(hash.finalized())
    try file.commit()
  }
}
