internal import Glibc
internal import Synchronization

/// The terminal's line settings, which are changed for editing and then restored.
///
/// All functions except `prepare` may be called from signal handlers: the saved settings are in
/// memory that is allocated once and never freed, and `tcsetattr` is async-signal-safe
/// (POSIX.1-2017, 2.4.3).
enum TerminalMode {
  /// The settings that can be active.
  enum Kind: Int {
    /// The settings at the start.
    case original
    /// For editing a line: each key is received at once, without echo, also Ctrl-C and Ctrl-Z.
    case keys
    /// For printing an answer: as `keys`, but Ctrl-C and Ctrl-Z send signals.
    case silent
  }

  private static let kind = Atomic<Int>(Kind.original.rawValue)
  private static let isPrepared = Atomic<Bool>(false)
  // Three settings, indexed by the kind.
  nonisolated(unsafe) private static let settings = UnsafeMutablePointer<termios>.allocate(
    capacity: 3)

  /// Reads the terminal's settings, on standard input.
  ///
  /// - Returns: Whether standard input is a terminal.
  static func prepare() -> Bool {
    if isPrepared.load(ordering: .acquiring) { return true }
    var original = termios()
    guard unsafe tcgetattr(0, &original) == 0 else { return false }
    var keys = original
    keys.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG | IEXTEN)
    // A carriage return must not be translated, and Ctrl-S must not stop the output.
    keys.c_iflag &= ~tcflag_t(ICRNL | INLCR | IGNCR | ISTRIP | IXON)
    keys.c_cflag |= tcflag_t(CS8)
    keys.c_cc.6 = 1  // VMIN
    keys.c_cc.5 = 0  // VTIME
    var silent = keys
    silent.c_lflag |= tcflag_t(ISIG)
    unsafe settings.initialize(to: original)
    unsafe settings.advanced(by: 1).initialize(to: keys)
    unsafe settings.advanced(by: 2).initialize(to: silent)
    isPrepared.store(true, ordering: .releasing)
    return true
  }

  /// Activates the given settings.
  static func enter(_ new: Kind) {
    guard isPrepared.load(ordering: .acquiring) else { return }
    kind.store(new.rawValue, ordering: .releasing)
    apply(new.rawValue)
  }

  /// Restores the original settings and ends bracketed paste, if the settings were changed.
  static func restore() {
    guard suspend() else { return }
    kind.store(Kind.original.rawValue, ordering: .releasing)
  }

  /// Restores the original settings until `resume`.
  ///
  /// - Returns: Whether other settings were active.
  @discardableResult
  static func suspend() -> Bool {
    guard kind.load(ordering: .acquiring) != Kind.original.rawValue else { return false }
    apply(Kind.original.rawValue)
    return true
  }

  /// Activates the settings that were active before `suspend`.
  static func resume() {
    let current = kind.load(ordering: .acquiring)
    if current != Kind.original.rawValue { apply(current) }
  }

  private static func apply(_ index: Int) {
    // In a background process `tcsetattr` would stop the process, even while it is ending. The
    // shell, which then controls the terminal, has already restored the settings.
    guard tcgetpgrp(0) == getpgrp() else { return }
    if index == Kind.original.rawValue {
      pasteOff.withUTF8Buffer { text in _ = unsafe write(1, text.baseAddress, text.count) }
    }
    while unsafe tcsetattr(0, TCSANOW, settings.advanced(by: index)) != 0, errno == EINTR {}
  }

  /// The escape sequences that turn bracketed paste on and off.
  static let pasteOn: StaticString = "\u{1B}[?2004h"
  static let pasteOff: StaticString = "\u{1B}[?2004l"
}
