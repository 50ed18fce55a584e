#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// A reason why a file could not be read, mapped or written.
public enum FileError: DuetError, Equatable {
  /// There is no file or folder at the path.
  case notFound(path: String)
  /// The path is a symbolic link to a file that is not there.
  case brokenLink(path: String)
  /// The path is a folder where a file is needed.
  case isFolder(path: String)
  /// The path is a file where a folder is needed.
  case notAFolder(path: String)
  /// The path is a pipe, device or socket where a file is needed.
  case notRegular(path: String)
  /// The file is larger than the caller allows for its kind.
  case tooLarge(path: String, byteCount: Int, limit: Int)
  /// The file is of a kind that is never what is needed, such as a Git LFS pointer.
  case foreign(path: String, ForeignFile)
  /// The file became shorter while it was being read.
  case truncatedWhileReading(path: String, expectedBytes: Int, actualBytes: Int)
  /// There is no room for the bytes that are still to be written.
  case diskFull(path: String, neededBytes: Int, freeBytes: Int)
  /// The folder that this process writes to was removed, or another process has taken it over.
  case lockLost(path: String)
  /// The system refused an operation on the file.
  case system(path: String, operation: Operation, code: Int32)

  /// The operation that the system refused.
  public enum Operation: String, Sendable {
    /// Opening for reading.
    case open
    /// Reading the bytes.
    case read
    /// Mapping into memory.
    case map
    /// Creating or writing.
    case write
    /// Giving the finished file its name.
    case rename
    /// Removing.
    case remove
    /// Making the folder.
    case makeFolder
  }

  /// The kind of trouble, for the exit code: a file that is too large or foreign counts as refused data.
  public var category: FailureCategory {
    switch self {
    case .tooLarge, .foreign: .refusedData
    case .lockLost: .resumable
    default: .inputOutput
    }
  }

  /// One sentence that names the file and what is wrong.
  public var description: String {
    switch self {
    case .notFound(let path): "\(printable(path)): no such file"
    case .brokenLink(let path):
      "\(printable(path)): this is a link to a file that is not there; fetch that file again"
    case .isFolder(let path): "\(printable(path)): this is a folder, not a file"
    case .notAFolder(let path): "\(printable(path)): this is a file, not a folder"
    case .notRegular(let path): "\(printable(path)): not a regular file"
    case .tooLarge(let path, let byteCount, let limit):
      "\(printable(path)): the file has \(byteCount) bytes, more than the \(limit) allowed"
    case .foreign(let path, let kind): "\(printable(path)): \(kind.advice)"
    case .lockLost(let path):
      "\(printable(path)): the folder was removed, or another run has taken it over, while this run wrote to "
        + "it; this run has ended and writes nothing more to it"
    case .truncatedWhileReading(let path, let expected, let actual):
      "\(printable(path)): the file shrank from \(expected) to \(actual) bytes while it was read"
    case .diskFull(let path, let needed, let free):
      "\(printable(path)): no space left on the disk: \(needed) more bytes are needed, \(free) are "
        + "free"
    case .system(let path, .makeFolder, let code):
      "\(printable(path)): cannot make the folder: \(systemMessage(code))"
    case .system(let path, let operation, let code):
      "\(printable(path)): cannot \(operation.rawValue) the file: \(systemMessage(code))"
    }
  }
}

/// The system's message for the error `code`.
package func systemMessage(_ code: Int32) -> String {
  guard let text = unsafe strerror(code) else { return "error \(code)" }
  return unsafe String(cString: text)
}

/// A regular file opened for reading, closed when the value is destroyed.
struct OpenFile: ~Copyable {
  let descriptor: Int32
  /// The size of the file when it was opened, in bytes.
  let byteCount: Int

  /// Opens the file at `path`, following symbolic links.
  init(path: String) throws(FileError) {
    // Without O_NONBLOCK, opening a pipe that has no writer would wait for ever.
    let descriptor =
      unsafe path.utf8.contains(0) ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      let code = path.utf8.contains(0) ? ENOENT : errno
      guard code != ENOENT, code != ENOTDIR else {
        throw Self.isLink(path) ? .brokenLink(path: path) : .notFound(path: path)
      }
      throw .system(path: path, operation: .open, code: code)
    }
    var status = stat()
    let result = unsafe fstat(descriptor, &status)
    let code = errno
    var failure: FileError?
    if result != 0 {
      failure = .system(path: path, operation: .open, code: code)
    } else if status.st_mode & S_IFMT == S_IFDIR {
      failure = .isFolder(path: path)
    } else if status.st_mode & S_IFMT != S_IFREG {
      failure = .notRegular(path: path)
    }
    if let failure {
      close(descriptor)
      throw failure
    }
    self.descriptor = descriptor
    byteCount = Int(status.st_size)
  }

  deinit { close(descriptor) }

  private static func isLink(_ path: String) -> Bool {
    var status = stat()
    return unsafe !path.utf8.contains(0) && lstat(path, &status) == 0
      && status.st_mode & S_IFMT == S_IFLNK
  }

  /// The kind of file, when its first bytes are those of a kind that is never what is needed.
  var foreignKind: ForeignFile? {
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: ForeignFile.prefixByteCount) {
      buffer, count in
      count = max(0, unsafe pread(descriptor, buffer.baseAddress, buffer.count, 0))
    }
    return ForeignFile(bytes)
  }
}

/// The bytes of the file at `path`, read into memory.
///
/// - Parameters:
///   - path: The file; symbolic links are followed, pipes and devices refused.
///   - limit: The largest size accepted, in bytes.
/// - Returns: All bytes of the file.
/// - Throws: `FileError`; `foreign` and `tooLarge` are thrown before the whole file is read.
package func readFile(_ path: String, limit: Int) throws(FileError) -> [UInt8] {
  let file = try OpenFile(path: path)
  if let kind = file.foreignKind { throw .foreign(path: path, kind) }
  guard file.byteCount <= limit else {
    throw .tooLarge(path: path, byteCount: file.byteCount, limit: limit)
  }
  var failureCode: Int32 = 0
  let bytes = unsafe [UInt8](unsafeUninitializedCapacity: file.byteCount) { buffer, count in
    while count < file.byteCount, let base = buffer.baseAddress {
      let readCount = unsafe read(file.descriptor, base + count, file.byteCount - count)
      if readCount > 0 {
        count += readCount
      } else if readCount == 0 {
        return
      } else if errno != EINTR {
        failureCode = errno
        return
      }
    }
  }
  guard failureCode == 0 else { throw .system(path: path, operation: .read, code: failureCode) }
  guard bytes.count == file.byteCount else {
    throw .truncatedWhileReading(
      path: path, expectedBytes: file.byteCount, actualBytes: bytes.count)
  }
  return bytes
}

/// The names in the folder at `path` in the order of their bytes, without "." and "..".
///
/// - Throws: `FileError`.
package func listFolder(_ path: String) throws(FileError) -> [String] {
  guard let folder = unsafe path.utf8.contains(0) ? nil : opendir(path) else {
    switch path.utf8.contains(0) ? ENOENT : errno {
    case ENOENT: throw .notFound(path: path)
    case ENOTDIR: throw .notAFolder(path: path)
    case let code: throw .system(path: path, operation: .open, code: code)
    }
  }
  defer { _ = unsafe closedir(folder) }
  var names: [String] = []
  while let entry = unsafe readdir(folder) {
    let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
      unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    if name != ".", name != ".." { names.append(name) }
  }
  return names.sorted { $0.precedesInBytes($1) }
}
