internal import Glibc
internal import Synchronization

/// The terminal's line settings, changed for editing and put back whatever happens.
///
/// All functions but `prepare` may be called from signal handlers: the saved settings lie in memory
/// that is allocated once and never freed, and `tcsetattr` is async-signal-safe (POSIX.1-2017,
/// 2.4.3).
enum TerminalMode {
  /// Which settings are in force.
  enum Kind: Int {
    /// Those found at the start.
    case original
    /// Keys come one by one, unechoed, Ctrl-C and Ctrl-Z as keys: for editing a line.
    case keys
    /// As `keys`, but Ctrl-C and Ctrl-Z send signals: while an answer is printed.
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
    // Carriage return must arrive as it is, and Ctrl-S must not stop the output for good.
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

  /// Puts settings into force.
  static func enter(_ new: Kind) {
    guard isPrepared.load(ordering: .acquiring) else { return }
    kind.store(new.rawValue, ordering: .releasing)
    apply(new.rawValue)
  }

  /// Puts the original settings back and ends bracketed paste, if anything was changed.
  static func restore() {
    guard suspend() else { return }
    kind.store(Kind.original.rawValue, ordering: .releasing)
  }

  /// Puts the original settings back for a while.
  ///
  /// - Returns: Whether others were in force.
  @discardableResult
  static func suspend() -> Bool {
    guard kind.load(ordering: .acquiring) != Kind.original.rawValue else { return false }
    apply(Kind.original.rawValue)
    return true
  }

  /// Puts the settings back into force that `suspend` took away.
  static func resume() {
    let current = kind.load(ordering: .acquiring)
    if current != Kind.original.rawValue { apply(current) }
  }

  private static func apply(_ index: Int) {
    // From the background the call would stop the process for good while it is ending; a shell
    // that has the terminal back has also put its settings right.
    guard tcgetpgrp(0) == getpgrp() else { return }
    if index == Kind.original.rawValue {
      pasteOff.withUTF8Buffer { text in _ = unsafe write(1, text.baseAddress, text.count) }
    }
    while unsafe tcsetattr(0, TCSANOW, settings.advanced(by: index)) != 0, errno == EINTR {}
  }

  /// What asks the terminal to mark pasted text.
  static let pasteOn: StaticString = "\u{1B}[?2004h"
  static let pasteOff: StaticString = "\u{1B}[?2004l"
}
