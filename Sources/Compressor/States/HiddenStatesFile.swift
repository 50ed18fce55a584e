internal import DuetSystem

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// A file without a name that is read and written at any offset, and closed when the value is destroyed.
struct HiddenStatesFile: ~Copyable {
  /// The pattern of the name that the file had, for messages.
  let path: String
  private let descriptor: Int32

  /// Makes a file of `byteCount` zeros in `folder`, and removes its name.
  ///
  /// Except on Darwin, its disk space is allocated at once, so that a full disk is an error now and not hours
  /// later.
  init(temporaryIn folder: String, byteCount: Int) throws(FileError) {
    let pattern = "\(folder)/hidden-states.XXXXXX"
    // mkstemp replaces the last six characters.
    var name = Array(pattern.utf8CString)
    let descriptor = unsafe mkstemp(&name)
    guard descriptor >= 0 else { throw .system(path: pattern, operation: .write, code: errno) }
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    var code = unsafe unlink(name) == 0 ? 0 : errno
    if code == 0 {
      #if canImport(Darwin)
        code = ftruncate(descriptor, off_t(byteCount)) == 0 ? 0 : errno
      #else
        code = posix_fallocate(descriptor, 0, off_t(byteCount))
      #endif
    }
    guard code == 0 else {
      close(descriptor)
      throw .system(path: pattern, operation: .write, code: code)
    }
    self.descriptor = descriptor
    path = pattern
  }

  deinit { close(descriptor) }

  /// Fills the first `count` numbers of `buffer` from the file, starting at byte `offset`.
  func read(_ buffer: inout Buffer<Float>, count: Int, at offset: Int) throws(FileError) {
    try unsafe read(
      UnsafeMutableRawBufferPointer(
        UnsafeMutableBufferPointer(start: buffer.pointer, count: count)), at: offset)
  }

  /// Writes the first `count` numbers of `buffer` to the file, starting at byte `offset`.
  func write(_ buffer: borrowing Buffer<Float>, count: Int, at offset: Int) throws(FileError) {
    try unsafe write(
      UnsafeRawBufferPointer(UnsafeBufferPointer(start: buffer.pointer, count: count)), at: offset)
  }

  private func read(_ bytes: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) {
    var position = 0
    while position < bytes.count, let base = bytes.baseAddress {
      // Linux reads at most 2^31 - 4096 bytes at once.
      let length = min(bytes.count - position, 1 << 30)
      let count = unsafe pread(descriptor, base + position, length, off_t(offset + position))
      if count > 0 {
        position += count
      } else if count == 0 {
        throw .truncatedWhileReading(
          path: path, expectedBytes: offset + bytes.count, actualBytes: offset + position)
      } else if errno != EINTR {
        throw .system(path: path, operation: .read, code: errno)
      }
    }
  }

  private func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
    var position = 0
    while position < bytes.count, let base = bytes.baseAddress {
      let length = min(bytes.count - position, 1 << 30)
      let count = unsafe pwrite(descriptor, base + position, length, off_t(offset + position))
      if count > 0 {
        position += count
      } else if count == 0 {
        throw .system(path: path, operation: .write, code: EIO)
      } else if errno != EINTR {
        throw .system(path: path, operation: .write, code: errno)
      }
    }
  }
}
