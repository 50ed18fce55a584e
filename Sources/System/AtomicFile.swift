#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// A file being written that gets its name only when it is complete and on the disk.
///
/// Until then it has a temporary name in the same folder, which ends in `temporarySuffix`. A
/// process that has an old file of the final name open or mapped keeps seeing the old bytes.
/// Without `commit()` nothing remains, unless the process dies.
package struct AtomicFile: ~Copyable {
  /// The suffix of temporary names.
  package static let temporarySuffix = ".partial"
  /// What no other process has in its temporary names, on this machine or on another one.
  private static let mark = "\(getpid())-\(String(UInt64.random(in: .min ... .max), radix: 16))"

  private let path: String
  private let temporaryPath: String
  private let descriptor: Int32
  private let operations: FileOperations
  private var isCommitted = false

  /// Begins a file that will be called `path`.
  ///
  /// - Parameters:
  ///   - path: The final name.
  ///   - byteCount: The size it will have, reserved on the disk now; 0 when it is not known.
  ///   - isPrivate: Whether only its owner can read it.
  ///   - operations: The operations that write.
  /// - Throws: `FileError`; `diskFull` when there is not enough space.
  package init(
    path: String, byteCount: Int = 0, isPrivate: Bool = false,
    operations: FileOperations = .system
  ) throws(FileError) {
    let temporaryPath = "\(path).\(Self.mark)\(Self.temporarySuffix)"
    let descriptor = try operations.create(temporaryPath, isPrivate: isPrivate)
    do throws(FileError) {
      try operations.allocate(byteCount, descriptor, path)
    } catch {
      close(descriptor)
      try? operations.unconditional.remove(temporaryPath)
      throw error
    }
    self.path = path
    self.temporaryPath = temporaryPath
    self.descriptor = descriptor
    self.operations = operations
  }

  deinit {
    close(descriptor)
    if !isCommitted { try? operations.unconditional.remove(temporaryPath) }
  }

  /// Appends `bytes`.
  package mutating func append(_ bytes: [UInt8]) throws(FileError) {
    try unsafe append(bytes.span.bytes)
  }

  /// Appends `bytes`.
  package mutating func append(_ bytes: RawSpan) throws(FileError) {
    try operations.write(bytes, descriptor, path)
  }

  /// Flushes the bytes to the disk and gives the file its name.
  package mutating func commit() throws(FileError) {
    try operations.synchronize(descriptor, path)
    try operations.rename(temporaryPath, to: path)
    isCommitted = true
    // The name is stored in the folder, which must be flushed separately.
    try operations.synchronizeFolder(parentFolder(of: path) ?? ".")
  }

  /// Writes a whole file, which only its owner can read if it is private.
  package static func write(
    _ bytes: [UInt8], to path: String, isPrivate: Bool = false,
    operations: FileOperations = .system
  ) throws(FileError) {
    var file = try AtomicFile(path: path, isPrivate: isPrivate, operations: operations)
    try file.append(bytes)
    try file.commit()
  }
}
