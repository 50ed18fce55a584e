#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// A file that grows piece by piece, so that a process that dies leaves all pieces before the last.
package struct AppendedFile: ~Copyable {
  private let path: String
  private let descriptor: Int32
  private let operations: FileOperations

  /// Opens the file at `path` behind `kept`.
  ///
  /// - Parameters:
  ///   - path: The name of the file.
  ///   - old: What the file holds now, or nil when there is none.
  ///   - kept: What it is to hold; where that is something else, the file is replaced as a whole.
  ///   - operations: What writes.
  /// - Throws: `FileError`.
  package init(
    path: String, replacing old: [UInt8]?, by kept: [UInt8], operations: FileOperations = .system
  ) throws(FileError) {
    if old != kept { try AtomicFile.write(kept, to: path, operations: operations) }
    let descriptor = unsafe open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
    guard descriptor >= 0 else { throw .system(path: path, operation: .write, code: errno) }
    self.path = path
    self.descriptor = descriptor
    self.operations = operations
  }

  deinit { close(descriptor) }

  /// Appends `bytes`.
  package mutating func append(_ bytes: [UInt8]) throws(FileError) {
    try unsafe operations.write(bytes.span.bytes, descriptor, path)
  }

  /// Brings all bytes to the disk.
  package mutating func synchronize() throws(FileError) {
    try operations.synchronize(descriptor, path)
  }
}
