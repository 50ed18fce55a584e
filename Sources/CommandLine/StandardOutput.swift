package import DuetSystem
package import DuetText
internal import Glibc

/// Output that could not be written.
package enum OutputError: DuetError, Equatable {
  /// The reader of a pipe went away.
  case closed
  /// The system refused, with its error number.
  case failed(code: Int32)

  /// Output problems are the system's.
  package var category: FailureCategory { .inputOutput }

  /// What happened to the output.
  package var description: String {
    switch self {
    case .closed: "nobody reads standard output any more"
    case .failed(let code):
      "cannot write to standard output: \(unsafe String(cString: strerror(code)))"
    }
  }
}

/// The one buffered way to standard output; no result is lost without an error.
///
/// Not safe for use from several threads.
package final class StandardOutput {
  private let descriptor: Int32
  private var buffer: [UInt8] = []

  /// Whether any byte has left the buffer.
  package private(set) var hasWritten = false

  /// Whether the output is a terminal.
  package let isTerminal: Bool

  /// Makes a writer for a descriptor: standard output unless told otherwise.
  package init(descriptor: Int32 = 1) {
    self.descriptor = descriptor
    isTerminal = isatty(descriptor) == 1
  }

  /// Adds `text`, and writes when 16 KiB have come together.
  ///
  /// - Throws: `OutputError` when writing fails.
  package func write(_ text: String) throws(OutputError) {
    buffer.append(contentsOf: text.utf8)
    // A pipe's capacity is 64 KiB; a quarter keeps the reader busy while the next part is made.
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

  /// Writes everything that is waiting.
  ///
  /// - Throws: `OutputError` when writing fails; what was waiting is dropped, so that a second
  ///   attempt cannot repeat a part of it.
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
        // Somebody made the descriptor nonblocking; wait until it takes more.
        var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = unsafe poll(&wait, 1, -1)
      case EPIPE: throw .closed
      default: throw .failed(code: errno)
      }
    }
  }

  /// Drops what is waiting.
  func discard() {
    buffer.removeAll()
  }
}
