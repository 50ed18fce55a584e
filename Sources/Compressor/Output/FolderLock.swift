internal import DuetSystem

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// The lock of a folder: the file `lock`, locked by the process that writes, with a record of that process in
/// it.
///
/// A file system whose locks fail is refused. There are also file systems that grant every lock but tell the
/// other machines nothing of it, such as NFS mounted with `local_lock=all`. On these, the process that begins
/// last overwrites the record, and the earlier one, which reads it before every change of a name, ends.
struct FolderLock: Sendable {
  private let descriptor: Int32
  private let record: [UInt8]

  /// The name of the file.
  static let name = "lock"

  /// Opens and locks the file in the folder `state`, and writes the record.
  ///
  /// - Parameters:
  ///   - state: The folder of the file; it is made when it is missing.
  ///   - folder: The folder that is locked, for errors.
  ///   - operations: The operations on files.
  /// - Throws: `OutputFolderError.locked`, `.noLocks`, `.file`.
  init(
    in state: String, folder: String, _ operations: FileOperations
  ) throws(OutputFolderError) {
    let path = "\(state)/\(Self.name)"
    // A run that ends renames the folder of the lock: a process that has locked the old file must try again
    // with the new one. All tries together take about 0.2 s at most.
    for _ in 0..<100 {
      let opened = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
      guard opened >= 0 else {
        guard errno == ENOENT else {
          throw .file(.system(path: path, operation: .write, code: errno))
        }
        // The other run has just ended and renamed the folder.
        try wrapping(OutputFolderError.file) { () throws(FileError) in
          try operations.makeFolders(state)
        }
        continue
      }
      let code = operations.lock(opened, path)
      guard code == 0 else {
        close(opened)
        guard code == EWOULDBLOCK else {
          if Self.meansNoLocks(code) { throw .noLocks(path: folder, code: code) }
          throw .file(.system(path: path, operation: .write, code: code))
        }
        // A child process holds a copy of the descriptor until it executes its program, so a lock that is
        // soon released may not be another run's.
        usleep(2000)
        continue
      }
      if FileIdentity(opened) == FileIdentity(path) {
        descriptor = opened
        record = Self.newRecord()
        try write(path)
        return
      }
      close(opened)
    }
    throw .locked(path: folder)
  }

  /// Whether an error code of flock says that the file system has no locks, or that they do not work.
  private static func meansNoLocks(_ code: Int32) -> Bool {
    [ENOLCK, ENOSYS, EOPNOTSUPP, EINVAL].contains(code)
  }

  /// The machine, the process and a random number, so that no two records are equal.
  private static func newRecord() -> [UInt8] {
    var name = [CChar](repeating: 0, count: 256)
    let isKnown = unsafe gethostname(&name, name.count - 1) == 0
    let host = (isKnown ? name : []).prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    let number = String(UInt64.random(in: .min ... .max), radix: 16)
    return host + Array(" \(getpid()) \(number)\n".utf8)
  }

  private func write(_ path: String) throws(OutputFolderError) {
    let count = unsafe record.withUnsafeBytes { bytes in
      unsafe pwrite(descriptor, bytes.baseAddress, bytes.count, 0)
    }
    // Flushed, so that other machines read it.
    guard count == record.count, ftruncate(descriptor, off_t(count)) == 0, fsync(descriptor) == 0
    else {
      let code = count >= 0 && count < record.count ? EIO : errno
      close(descriptor)
      throw .file(.system(path: path, operation: .write, code: code))
    }
  }

  /// Whether the file in `state` is still the one that this process has locked, with its record.
  ///
  /// The file is opened anew: network file systems compare with the server then.
  func isHeld(in state: String) -> Bool {
    let current = unsafe open("\(state)/\(Self.name)", O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard current >= 0 else { return false }
    defer { close(current) }
    guard FileIdentity(descriptor) == FileIdentity(current) else { return false }
    var found = [UInt8](repeating: 0, count: record.count + 1)
    let count = unsafe found.withUnsafeMutableBytes { bytes in
      unsafe pread(current, bytes.baseAddress, bytes.count, 0)
    }
    return count == record.count && found.starts(with: record)
  }

  /// Gives the lock up.
  func release() { close(descriptor) }
}
