#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// A file being written that gets its name only when it is complete and on the disk.
///
/// Until then it has a temporary name beside the final one. Whoever has the old file of that name
/// open or mapped keeps seeing the old bytes. Without `commit()` nothing remains.
struct AtomicFile: ~Copyable {
  private let path: String
  private let temporaryPath: String
  private let descriptor: Int32
  private var isCommitted = false

  /// Begins a file that will be called `path`.
  init(path: String) throws(FileError) {
    self.path = path
    temporaryPath = "\(path).\(getpid()).partial"
    descriptor = unsafe open(temporaryPath, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw .system(path: path, operation: .write, code: errno) }
  }

  deinit {
    close(descriptor)
    if !isCommitted { _ = unsafe unlink(temporaryPath) }
  }

  /// Appends `bytes`.
  mutating func append(_ bytes: [UInt8]) throws(FileError) {
    try unsafe append(bytes.span.bytes)
  }

  /// Appends `bytes`.
  mutating func append(_ bytes: RawSpan) throws(FileError) {
    let code = unsafe bytes.withUnsafeBytes { unsafe Self.write($0, to: descriptor) }
    guard code == 0 else { throw .system(path: path, operation: .write, code: code) }
  }

  /// Brings the bytes to the disk and gives the file its name.
  mutating func commit() throws(FileError) {
    guard fsync(descriptor) == 0 else {
      throw .system(path: path, operation: .write, code: errno)
    }
    guard unsafe rename(temporaryPath, path) == 0 else {
      throw .system(path: path, operation: .rename, code: errno)
    }
    isCommitted = true
    // The name is in the folder, which is written on its own.
    let parent = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(path[..<$0]) + "/" } ?? "."
    let folder = unsafe open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard folder >= 0 else { throw .system(path: path, operation: .rename, code: errno) }
    defer { close(folder) }
    // Some file systems refuse to do this for folders; they order the rename themselves.
    guard fsync(folder) == 0 || errno == EINVAL else {
      throw .system(path: path, operation: .rename, code: errno)
    }
  }

  /// Writes all of `bytes` and returns 0 or the system's error code.
  private static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Int32 {
    var position = 0
    while position < bytes.count, let base = bytes.baseAddress {
      // Linux writes at most 2^31 - 4096 bytes at once.
      let length = min(bytes.count - position, 1 << 30)
      #if canImport(Glibc)
        let written = unsafe Glibc.write(descriptor, base + position, length)
      #elseif canImport(Musl)
        let written = unsafe Musl.write(descriptor, base + position, length)
      #else
        let written = unsafe Darwin.write(descriptor, base + position, length)
      #endif
      if written > 0 {
        position += written
      } else if written == 0 {
        return EIO
      } else if errno != EINTR {
        return errno
      }
    }
    return 0
  }
}
