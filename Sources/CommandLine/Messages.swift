internal import DuetSystem
internal import Glibc

/// A writer of an executable's messages to standard error, each a line `name: sentence`.
///
/// Text is escaped, so that a message is one line and no text from a file reaches the terminal as a
/// control sequence. Not safe for use from several threads.
package final class Messages {
  /// The amount of messages.
  package enum Level: Sendable {
    /// Warnings and errors only.
    case quiet
    /// Also notes.
    case normal
    /// Also details.
    case verbose
  }

  private let name: String
  private let descriptor: Int32
  /// The amount of messages.
  package let level: Level
  /// The number of bytes left out that was last reported of each text.
  var droppedByteCounts: [String: Int] = [:]
  /// Erases the progress line on the terminal, if there is one.
  var eraseProgress: (() -> Void)?

  /// Makes a writer of messages of the executable `name`.
  package init(name: String, level: Level = .normal, descriptor: Int32 = 2) {
    self.name = name
    self.level = level
    self.descriptor = descriptor
  }

  /// Writes an error; always shown.
  package func error(_ sentence: String) { line("\(name): \(sentence)") }

  /// Writes a warning, something important that does not end the run; always shown.
  package func warning(_ sentence: String) { line("\(name): warning: \(sentence)") }

  /// Writes a note; not shown with `--quiet`.
  package func note(_ sentence: String) {
    if level != .quiet { line("\(name): \(sentence)") }
  }

  /// Writes a detail; shown with `--verbose` only.
  package func detail(_ sentence: String) {
    if level == .verbose { line("\(name): \(sentence)") }
  }

  /// Writes a line without the name in front, such as a line of statistics.
  package func line(_ text: String) {
    eraseProgress?()
    // Long enough for any message with two long paths in it.
    writeToDescriptor(descriptor, printable(text, limit: 10_000) + "\n")
  }
}

/// Writes `text` to a descriptor; an error ends the writing and is not reported.
func writeToDescriptor(_ descriptor: Int32, _ text: String) {
  let bytes = Array(text.utf8)
  var start = 0
  while start < bytes.count {
    let written = unsafe bytes.withUnsafeBytes { all in
      let part = unsafe UnsafeRawBufferPointer(rebasing: all[start...])
      return unsafe write(descriptor, part.baseAddress, part.count)
    }
    if written > 0 {
      start += written
    } else if errno == EAGAIN {
      var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
      _ = unsafe poll(&wait, 1, -1)
    } else if errno != EINTR {
      return
    }
  }
}
