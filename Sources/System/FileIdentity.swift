#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// The identity of a file or folder, whatever its path.
package struct FileIdentity: Equatable {
  private let device: UInt64
  private let number: UInt64
  /// The time of the last change of the contents: seconds and nanoseconds.
  package let modified: (seconds: Int, nanoseconds: Int)

  /// The identity of the file at `path`, or nil when there is none; symbolic links are followed.
  package init?(_ path: String) {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else { return nil }
    self.init(status)
  }

  /// The identity of an open file.
  package init?(_ descriptor: Int32) {
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else { return nil }
    self.init(status)
  }

  private init(_ status: stat) {
    device = UInt64(status.st_dev)
    number = UInt64(status.st_ino)
    modified = (Int(status.st_mtim.tv_sec), Int(status.st_mtim.tv_nsec))
  }

  package static func == (left: FileIdentity, right: FileIdentity) -> Bool {
    left.device == right.device && left.number == right.number
  }
}

/// Whether there is a file or folder at `path`; symbolic links are followed.
package func fileExists(_ path: String) -> Bool { FileIdentity(path) != nil }
