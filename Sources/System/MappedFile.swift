#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// The bytes of a file, mapped read-only or held in memory, until the last reference goes away.
///
/// The system gets no advice about the order of access to mapped files. Requesting a file of
/// several gigabytes in advance would delay the first token until all of it has been requested from
/// the disk, and declaring the access sequential would let the system drop weights that the next
/// token needs.
@safe
package final class MappedFile: Sendable {
  /// Where the bytes come from, for messages.
  package let path: String
  /// The number of bytes.
  package let count: Int

  private nonisolated(unsafe) let base: UnsafeMutableRawPointer?
  /// The index in the table of mapped files; nil for bytes in memory, or when the table was full.
  private let entry: Int?

  /// Maps the file at `path`; nothing is read yet.
  ///
  /// If another process shortens the file later, touching the lost part raises SIGBUS; see
  /// `installTruncationHandler(beforeExit:)`.
  ///
  /// - Throws: `FileError` when it is missing, unreadable or no regular file.
  package init(contentsOf path: String) throws(FileError) {
    let file = try OpenFile(path: path)
    self.path = path
    count = file.byteCount
    guard count > 0 else {
      unsafe base = nil
      entry = nil
      return
    }
    guard
      let address = unsafe mmap(nil, count, PROT_READ, MAP_PRIVATE, file.descriptor, 0),
      unsafe address != MAP_FAILED
    else { throw .system(path: path, operation: .map, code: errno) }
    unsafe base = address
    entry = TruncationTable.add(start: UInt(bitPattern: address), count: count, path: path)
  }

  /// Reads the file at `path` into memory, where no other process can change it.
  ///
  /// - Throws: `FileError`, also when the file shrinks while it is read.
  package convenience init(reading path: String) throws(FileError) {
    let file = try OpenFile(path: path)
    try self.init(allocating: file.byteCount, path: path)
    var position = 0
    while position < count, let base = unsafe base {
      // Linux reads at most 2^31 - 4096 bytes at once.
      let length = min(count - position, 1 << 30)
      let readCount = unsafe read(file.descriptor, base + position, length)
      if readCount > 0 {
        position += readCount
      } else if readCount == 0 {
        throw .truncatedWhileReading(path: path, expectedBytes: count, actualBytes: position)
      } else if errno != EINTR {
        throw .system(path: path, operation: .read, code: errno)
      }
    }
  }

  /// Allocates `byteCount` zero bytes that belong to no file and lets `fill` change them.
  ///
  /// - Throws: `FileError.system` when there is not enough memory.
  package convenience init(
    anonymousByteCount byteCount: Int, path: String = "memory",
    fill: (inout MutableRawSpan) -> Void
  ) throws(FileError) {
    precondition(byteCount >= 0, "a file of \(byteCount) bytes")
    try self.init(allocating: byteCount, path: path)
    var span = unsafe MutableRawSpan(_unsafeStart: base ?? Self.nowhere, byteCount: byteCount)
    fill(&span)
  }

  /// Copies the bytes at `range` of `file`, so that the first one is at the start of a page.
  ///
  /// - Precondition: `range` is inside the file.
  package convenience init(copying range: Range<Int>, of file: MappedFile) throws(FileError) {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= file.count,
      "bytes \(range) of a file of \(file.count)")
    try self.init(allocating: range.count, path: file.path)
    if let base = unsafe base {
      unsafe base.copyMemory(from: file.pointer + range.lowerBound, byteCount: range.count)
    }
  }

  /// Allocates zero bytes, in large pages where the system has them.
  private init(allocating byteCount: Int, path: String) throws(FileError) {
    self.path = path
    count = byteCount
    entry = nil
    guard byteCount > 0 else {
      unsafe base = nil
      return
    }
    guard
      let address = unsafe mmap(
        nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      unsafe address != MAP_FAILED
    else { throw .system(path: path, operation: .map, code: errno) }
    // Weights are read from one end to the other for every token; 2 MB pages need fewer address translations.
    unsafe LargeMemory.preferLargePages(address, byteCount)
    unsafe base = address
  }

  deinit {
    if let entry { TruncationTable.remove(entry) }
    if let base = unsafe base { _ = unsafe munmap(base, count) }
  }

  /// The bytes; the first one is at the start of a page.
  package var bytes: RawSpan {
    @_lifetime(borrow self)
    get {
      let span = unsafe RawSpan(_unsafeStart: base ?? Self.nowhere, byteCount: count)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// A copy of the bytes at `range`.
  ///
  /// - Precondition: `range` is inside `0 ..< count`.
  package func copyBytes(_ range: Range<Int>) -> [UInt8] {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= count, "bytes \(range) of a file of \(count)")
    return unsafe [UInt8](
      UnsafeRawBufferPointer(start: pointer + range.lowerBound, count: range.count))
  }

  /// Returns the memory of a mapped range to the system; the range is read again when touched.
  ///
  /// For bytes that have been copied and are not needed again. Does nothing when the bytes are not
  /// mapped from a file, or when the table of mapped files was full.
  package func release(_ range: Range<Int>) {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= count, "bytes \(range) of a file of \(count)")
    guard entry != nil, let base = unsafe base else { return }
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let start = range.lowerBound / page * page
    _ = unsafe madvise(base + start, range.upperBound - start, MADV_DONTNEED)
  }

  /// The address of the first byte, valid while this object lives; not null for empty files.
  @unsafe
  package var pointer: UnsafeRawPointer { unsafe UnsafeRawPointer(base ?? Self.nowhere) }

  /// An address for spans of no bytes.
  private static var nowhere: UnsafeMutableRawPointer {
    guard let pointer = unsafe UnsafeMutableRawPointer(bitPattern: 64) else {
      preconditionFailure("64 is not the null address")
    }
    return unsafe pointer
  }

  /// Makes the process end with one sentence and exit code 4 when a mapped file is truncated.
  ///
  /// Without this handler the process dies of SIGBUS with no message. Faults outside mapped files
  /// keep their default effect. To be called once by an executable, before its threads start.
  ///
  /// - Parameter beforeExit: Called first, to restore the terminal. It runs inside a signal handler
  ///   and may do only what is async-signal-safe.
  package static func installTruncationHandler(beforeExit: (@convention(c) () -> Void)? = nil) {
    TruncationTable.installHandler(beforeExit: beforeExit)
  }
}
