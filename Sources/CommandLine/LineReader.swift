internal import Glibc

/// A line from the terminal, or the event that came instead.
package enum LineInput: Equatable, Sendable {
  /// A line, possibly with line feeds from pasted text.
  case line(String)
  /// Ctrl-D on an empty line, or the terminal was closed.
  case endOfInput
  /// Ctrl-C or SIGINT, with whether a line with text was discarded.
  case interrupted(hadText: Bool)
  /// SIGTERM.
  case terminated
}

/// Reads edited lines from the terminal that is both standard input and standard output.
///
/// From the initializer until `close` the terminal does not echo input; between two lines Ctrl-C and
/// Ctrl-Z send signals. The settings of a terminal without cursor movement (`TERM` is `dumb`, empty
/// or unset) are not changed, and the system edits its lines. Not safe for use from several threads.
package final class LineReader {
  private let output: StandardOutput
  private var editor = LineEditor()
  private var decoder = KeyDecoder()
  private var painter = LinePainter()
  /// Keys that were typed ahead, or pasted without bracketed paste.
  private var waiting: [Key] = []
  /// Whether the system edits the lines.
  private let isPlain = Environment.isDumb
  /// The bytes after the last line when the system edits the lines.
  private var plainBytes: [UInt8] = []

  /// Takes over the terminal; nil when standard input or standard output is not a terminal.
  package init?(output: StandardOutput) {
    guard output.isTerminal, TerminalMode.prepare() else { return nil }
    self.output = output
    InterruptFlag.install()
    if isPlain { return }
    TerminalSignals.install()
    TerminalMode.enter(.silent)
  }

  deinit { close() }

  /// Restores the terminal's original settings.
  package func close() {
    TerminalMode.restore()
  }

  /// Adds a line to the history.
  package func remember(_ line: String) { editor.remember(line) }

  /// Reads a line.
  ///
  /// - Parameter prompt: The text shown before the line.
  /// - Returns: The line without its line feed, or the event that came instead.
  /// - Throws: `OutputError` when the terminal cannot be written to.
  package func readLine(prompt: String) throws(OutputError) -> LineInput {
    if isPlain { return try readPlainLine(prompt) }
    TerminalMode.enter(.keys)
    defer { TerminalMode.enter(.silent) }
    painter.forget()
    try write(TerminalMode.pasteOn.description)
    let result = try edit(prompt)
    try write(TerminalMode.pasteOff.description)
    return result
  }

  private func edit(_ prompt: String) throws(OutputError) -> LineInput {
    while true {
      let (outcome, used) = editor.handle(waiting)
      waiting.removeFirst(used)
      switch outcome {
      case .editing:
        if !hasInput { try paint(prompt) }
        if let end = try waitForKeys(prompt) { return end }
      case .submitted(let line):
        let shown = Array(line.unicodeScalars)
        try write(painter.leave(layout(prompt, shown, cursor: shown.count), height: rows))
        return .line(line)
      case .interrupted(let hadText):
        try write("^C" + painter.abandon())
        return .interrupted(hadText: hadText)
      case .endOfInput:
        try leave(prompt)
        return .endOfInput
      case .suspended:
        try leave(prompt)
        TerminalSignals.stop()
        _ = TerminalSignals.takeResumed()
        try write(TerminalMode.pasteOn.description)
      case .cleared:
        try write(painter.clearScreen())
      }
    }
  }

  /// Waits for bytes and decodes them; returns an event that ends the line, or nil.
  private func waitForKeys(_ prompt: String) throws(OutputError) -> LineInput? {
    while true {
      if InterruptFlag.isTerminated {
        try leave(prompt)
        return .terminated
      }
      if InterruptFlag.takeInterrupt() {
        waiting.insert(.control("c"), at: 0)
        return nil
      }
      if TerminalSignals.takeResumed() {
        painter.forget()
        try write(TerminalMode.pasteOn.description + "\r")
        try paint(prompt)
      }
      if TerminalSignals.takeResized() {
        painter.rewrapped(currentLayout(prompt), height: rows)
        try paint(prompt)
      }
      guard let bytes = readBytes() else { continue }
      if bytes.isEmpty { return .endOfInput }
      for byte in bytes { waiting += decoder.keys(for: byte) }
      return nil
    }
  }

  /// The next bytes; empty at the end of input, nil when there are none yet.
  private func readBytes() -> ArraySlice<UInt8>? {
    var input = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
    // A signal that another thread handles, or that comes just before `poll`, does not interrupt it;
    // therefore `poll` ends after 200 ms, and the caller checks the flags.
    guard unsafe poll(&input, 1, 200) > 0 else { return nil }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = unsafe bytes.withUnsafeMutableBytes { unsafe read(0, $0.baseAddress, $0.count) }
    if count < 0, errno == EINTR || errno == EAGAIN { return nil }
    return bytes[..<max(0, count)]
  }

  /// Reads a line that the system has edited and echoed.
  private func readPlainLine(_ prompt: String) throws(OutputError) -> LineInput {
    try write(prompt)
    while true {
      if let end = plainBytes.firstIndex(of: UInt8(ascii: "\n")) {
        let line = String(decoding: plainBytes[..<end], as: UTF8.self)
        plainBytes.removeSubrange(...end)
        return .line(line)
      }
      if InterruptFlag.isTerminated { return .terminated }
      if InterruptFlag.takeInterrupt() {
        try write("\n")
        return .interrupted(hadText: false)
      }
      guard let bytes = readBytes() else { continue }
      if bytes.isEmpty { return .endOfInput }
      plainBytes += bytes
    }
  }

  private var hasInput: Bool {
    var input = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
    return unsafe poll(&input, 1, 0) > 0
  }

  // MARK: - Painting

  private var rows: Int { Environment.size(of: 1).rows }

  private func layout(_ prompt: String, _ text: [Unicode.Scalar], cursor: Int) -> LineLayout {
    LineLayout(prompt: prompt, text: text, cursor: cursor, columns: Environment.columns(of: 1))
  }

  private func currentLayout(_ prompt: String) -> LineLayout {
    layout(prompt, editor.buffer.scalars, cursor: editor.buffer.cursor)
  }

  private func paint(_ prompt: String) throws(OutputError) {
    try write(painter.paint(currentLayout(prompt), height: rows))
  }

  private func leave(_ prompt: String) throws(OutputError) {
    try write(painter.leave(currentLayout(prompt), height: rows))
  }

  private func write(_ text: String) throws(OutputError) {
    try output.write(text)
    try output.flush()
  }
}
