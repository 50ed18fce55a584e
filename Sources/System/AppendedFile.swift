#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// A file to which pieces are appended; all but the last are intact when the process dies.
package struct AppendedFile: ~Copyable {
  private let path: String
  private let descriptor: Int32
  private let operations: FileOperations

  /// Opens the file at `path` to append to `kept`.
  ///
  /// - Parameters:
  ///   - path: The name of the file.
  ///   - old: The contents of the file now, or nil when there is no file.
  ///   - kept: The contents to append to; if they differ from `old`, the file is replaced as a
  ///     whole.
  ///   - operations: The operations that write.
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

  /// Flushes all bytes to the disk.
  package mutating func synchronize() throws(FileError) {
    try operations.synchronize(descriptor, path)
  }
}
