package import DuetSystem
package import DuetText
internal import Glibc

/// An error of writing to standard output.
package enum OutputError: DuetError, Equatable {
  /// The reader of a pipe has closed it.
  case closed
  /// The system refused, with its error number.
  case failed(code: Int32)

  /// All output errors are errors of input and output.
  package var category: FailureCategory { .inputOutput }

  /// The reason why the output could not be written.
  package var description: String {
    switch self {
    case .closed: "nobody reads standard output any more"
    case .failed(let code):
      "cannot write to standard output: \(unsafe String(cString: strerror(code)))"
    }
  }
}

/// A buffered writer to standard output that reports every failed write.
///
/// Not safe for use from several threads.
package final class StandardOutput {
  private let descriptor: Int32
  private var buffer: [UInt8] = []

  /// Whether any byte has left the buffer.
  package private(set) var hasWritten = false

  /// Whether the output is a terminal.
  package let isTerminal: Bool

  /// Makes a writer for a descriptor, by default standard output.
  package init(descriptor: Int32 = 1) {
    self.descriptor = descriptor
    isTerminal = isatty(descriptor) == 1
  }

  /// Adds `text` to the buffer, and writes the buffer when it has 16 KiB or more.
  ///
  /// - Throws: `OutputError` when writing fails.
  package func write(_ text: String) throws(OutputError) {
    buffer.append(contentsOf: text.utf8)
    // A quarter of a pipe's capacity (64 KiB): the reader works while the next part is produced.
    if buffer.count >= 16_384 { try flush() }
  }

  /// Adds `text` and a line feed.
  ///
  /// - Throws: `OutputError` when writing fails.
  package func writeLine(_ text: String = "") throws(OutputError) {
    try write(text)
    try write("\n")
  }

  /// Adds a JSON document and a line feed.
  ///
  /// - Throws: `OutputError` when writing fails.
  package func write(_ document: JSONOutput) throws(OutputError) {
    try writeLine(document.text)
  }

  /// Writes the buffer.
  ///
  /// - Throws: `OutputError` when writing fails; the buffer is then empty, so that a second attempt
  ///   cannot repeat a part of it.
  package func flush() throws(OutputError) {
    guard !buffer.isEmpty else { return }
    let bytes = buffer
    buffer.removeAll(keepingCapacity: true)
    var start = 0
    while start < bytes.count {
      let written = unsafe bytes.withUnsafeBytes { all in
        let part = unsafe UnsafeRawBufferPointer(rebasing: all[start...])
        return unsafe Glibc.write(descriptor, part.baseAddress, part.count)
      }
      if written >= 0 {
        start += written
        hasWritten = hasWritten || written > 0
        continue
      }
      switch errno {
      case EINTR: continue
      case EAGAIN:
        // The descriptor is nonblocking; wait until it accepts more.
        var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = unsafe poll(&wait, 1, -1)
      case EPIPE: throw .closed
      default: throw .failed(code: errno)
      }
    }
  }

  /// Empties the buffer without writing it.
  func discard() {
    buffer.removeAll()
  }
}
