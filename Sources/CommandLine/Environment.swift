internal import Glibc

/// Environment variables, properties of the terminal, and a clock.
enum Environment {
  /// The value of an environment variable, or nil when it is unset.
  static func value(_ name: String) -> String? {
    guard let text = unsafe getenv(name) else { return nil }
    return unsafe String(cString: text)
  }

  /// Whether a descriptor is a terminal on which a line can be rewritten.
  static func rewritesLines(on descriptor: Int32) -> Bool {
    isatty(descriptor) == 1 && !isDumb
  }

  /// Whether text written to a descriptor may be coloured with escape sequences.
  ///
  /// True for a terminal that supports them when `NO_COLOR` (no-color.org) is unset or empty.
  static func allowsColour(on descriptor: Int32) -> Bool {
    isatty(descriptor) == 1 && !isDumb && (value("NO_COLOR") ?? "").isEmpty
  }

  /// Whether `TERM` says that the terminal has no cursor movement: "dumb", empty or unset.
  static var isDumb: Bool { ["", "dumb"].contains(value("TERM") ?? "") }

  /// The width of a terminal in columns, 80 when it is unknown.
  static func columns(of descriptor: Int32) -> Int { size(of: descriptor).columns }

  /// The size of a terminal, 80 by 24 when it is unknown.
  static func size(of descriptor: Int32) -> (columns: Int, rows: Int) {
    var window = winsize()
    guard unsafe ioctl(descriptor, UInt(TIOCGWINSZ), &window) == 0, window.ws_col > 0 else {
      return (80, 24)
    }
    return (Int(window.ws_col), max(1, Int(window.ws_row)))
  }

  /// The seconds since the first call, by a monotonic clock.
  static func secondsSinceStart() -> Double {
    origin.duration(to: .now) / .seconds(1)
  }

  private static let origin = ContinuousClock.now
}
