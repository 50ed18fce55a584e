#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// The operations that change files and folders, in one place.
///
/// Code that writes files that must survive a crash uses only these, so that a test can make any of
/// them fail, or simulate a crash between any two.
package struct FileOperations: Sendable {
  /// A kind of operation.
  package enum Step: String, Sendable {
    case makeFolder, create, allocate, write, synchronize, rename, remove, synchronizeFolder, lock
  }

  /// The outcome that a test chooses for an operation.
  package enum Outcome: Sendable {
    /// The operation is carried out.
    case done
    /// Nothing happens and the system's error code is reported.
    case failed(code: Int32)
    /// The first half of the bytes is written before the error.
    case torn(code: Int32)
  }

  private let intercept: (@Sendable (_ step: Step, _ path: String) -> Outcome)?
  /// The reason why nothing may be changed any more, or nil.
  private let objection: (@Sendable () -> FileError?)?

  /// The operations of the system.
  package static let system = FileOperations(intercept: nil)

  /// The operations of the system, any of which `intercept` can make fail.
  package init(intercept: (@Sendable (_ step: Step, _ path: String) -> Outcome)?) {
    self.intercept = intercept
    objection = nil
  }

  private init(_ other: FileOperations, objection: (@Sendable () -> FileError?)?) {
    intercept = other.intercept
    self.objection = objection
  }

  /// The same operations, each refused while `objection` returns an error.
  ///
  /// It is asked before every change of a name or folder, not before every write to an open file.
  package func unless(_ objection: @escaping @Sendable () -> FileError?) -> FileOperations {
    FileOperations(self, objection: objection)
  }

  /// The same operations without objection.
  package var unconditional: FileOperations { FileOperations(self, objection: nil) }

  private func check(
    _ step: Step, _ path: String, _ operation: FileError.Operation
  ) throws(FileError) {
    if let error = objection?() { throw error }
    switch intercept?(step, path) ?? .done {
    case .done: break
    case .failed(let code), .torn(let code):
      throw .system(path: path, operation: operation, code: code)
    }
  }

  // MARK: - Folders

  /// Makes the folder at `path` and its parents, where they are missing.
  package func makeFolders(_ path: String) throws(FileError) {
    var status = stat()
    if unsafe stat(path, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFDIR else { throw .notAFolder(path: path) }
      return
    }
    if let parent = parentFolder(of: path) { try makeFolders(parent) }
    try check(.makeFolder, path, .makeFolder)
    // Another process may have made the folder meanwhile.
    guard unsafe mkdir(path, 0o755) == 0 || errno == EEXIST else {
      throw .system(path: path, operation: .makeFolder, code: errno)
    }
  }

  /// Flushes the names in the folder at `path` to the disk.
  package func synchronizeFolder(_ path: String) throws(FileError) {
    try check(.synchronizeFolder, path, .write)
    let folder = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard folder >= 0 else { throw .system(path: path, operation: .write, code: errno) }
    defer { close(folder) }
    // Some file systems refuse to flush folders; they keep renames in order themselves.
    guard fsync(folder) == 0 || errno == EINVAL else {
      throw .system(path: path, operation: .write, code: errno)
    }
  }

  // MARK: - Names

  /// Gives a file or folder another name, replacing a file of that name.
  package func rename(_ source: String, to target: String) throws(FileError) {
    try check(.rename, target, .rename)
    #if canImport(Glibc)
      let result = unsafe Glibc.rename(source, target)
    #elseif canImport(Musl)
      let result = unsafe Musl.rename(source, target)
    #else
      let result = unsafe Darwin.rename(source, target)
    #endif
    guard result == 0 else { throw .system(path: target, operation: .rename, code: errno) }
  }

  /// Removes a file, or an empty folder; a missing one is not an error.
  package func remove(_ path: String) throws(FileError) {
    try check(.remove, path, .remove)
    if unsafe unlink(path) == 0 || errno == ENOENT { return }
    // Linux reports EISDIR, other systems EPERM.
    guard errno == EISDIR || errno == EPERM else {
      throw .system(path: path, operation: .remove, code: errno)
    }
    guard unsafe rmdir(path) == 0 else {
      throw .system(path: path, operation: .remove, code: errno)
    }
  }

  /// Removes a folder with everything in it; a missing one is not an error.
  ///
  /// Symbolic links are removed, not followed.
  package func removeTree(_ path: String) throws(FileError) {
    var status = stat()
    guard unsafe lstat(path, &status) == 0 else { return }
    if status.st_mode & S_IFMT == S_IFDIR {
      for name in try listFolder(path) { try removeTree("\(path)/\(name)") }
    }
    try remove(path)
  }

  // MARK: - Files

  /// Locks an open file for this process alone, without waiting.
  ///
  /// - Returns: 0, or the system's error code: EWOULDBLOCK when another process has locked the file.
  package func lock(_ descriptor: Int32, _ path: String) -> Int32 {
    switch intercept?(.lock, path) ?? .done {
    case .done: flock(descriptor, LOCK_EX | LOCK_NB) == 0 ? 0 : errno
    case .failed(let code), .torn(let code): code
    }
  }

  /// Creates an empty file, replacing what is there, and returns its descriptor.
  ///
  /// Only its owner can read a file that is private.
  func create(_ path: String, isPrivate: Bool = false) throws(FileError) -> Int32 {
    try check(.create, path, .write)
    let mode: mode_t = isPrivate ? 0o600 : 0o644
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
    guard descriptor >= 0 else { throw .system(path: path, operation: .write, code: errno) }
    return descriptor
  }

  /// Reserves room on the disk for the first `byteCount` bytes of a file.
  func allocate(_ byteCount: Int, _ descriptor: Int32, _ path: String) throws(FileError) {
    guard byteCount > 0 else { return }
    try check(.allocate, path, .write)
    #if os(Linux)
      var code: Int32 = 0
      repeat { code = posix_fallocate(descriptor, 0, byteCount) } while code == EINTR
      guard code != ENOSPC, code != EDQUOT else {
        throw .diskFull(path: path, neededBytes: byteCount, freeBytes: freeByteCount(path) ?? 0)
      }
      // A file system that cannot reserve space reports a full disk when bytes are written.
      guard code == 0 || code == EOPNOTSUPP || code == EINVAL else {
        throw .system(path: path, operation: .write, code: code)
      }
    #endif
  }

  /// Appends all of `bytes` to a file.
  func write(_ bytes: RawSpan, _ descriptor: Int32, _ path: String) throws(FileError) {
    let code: Int32
    switch intercept?(.write, path) ?? .done {
    case .done: code = unsafe bytes.withUnsafeBytes { unsafe Self.write($0, to: descriptor) }
    case .failed(let injected): code = injected
    case .torn(let injected):
      let half = bytes.extracting(first: bytes.byteCount / 2)
      _ = unsafe half.withUnsafeBytes { unsafe Self.write($0, to: descriptor) }
      code = injected
    }
    guard code != ENOSPC, code != EDQUOT else {
      throw .diskFull(path: path, neededBytes: bytes.byteCount, freeBytes: freeByteCount(path) ?? 0)
    }
    guard code == 0 else { throw .system(path: path, operation: .write, code: code) }
  }

  /// Flushes the bytes of a file to the disk.
  func synchronize(_ descriptor: Int32, _ path: String) throws(FileError) {
    try check(.synchronize, path, .write)
    guard fsync(descriptor) == 0 else {
      throw .system(path: path, operation: .write, code: errno)
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

/// The folder that holds the file or folder at `path`: "." for a plain name, nil for "/" and ".".
package func parentFolder(of path: String) -> String? {
  var bytes = Array(path.utf8)
  while bytes.count > 1, bytes.last == UInt8(ascii: "/") { bytes.removeLast() }
  guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else {
    return bytes.isEmpty || bytes == [UInt8(ascii: ".")] ? nil : "."
  }
  if slash == 0 { return bytes.count == 1 ? nil : "/" }
  return String(decoding: bytes[..<slash], as: UTF8.self)
}

/// The bytes that may still be written to the file system of the file or folder at `path`, or of
/// the folder it would be in; nil when the system does not report it.
package func freeByteCount(_ path: String) -> Int? {
  var status = statvfs()
  if unsafe statvfs(path, &status) == 0 {
    let (bytes, overflow) = Int(clamping: status.f_bavail)
      .multipliedReportingOverflow(by: Int(clamping: status.f_frsize))
    return overflow ? .max : bytes
  }
  return parentFolder(of: path).flatMap(freeByteCount)
}
