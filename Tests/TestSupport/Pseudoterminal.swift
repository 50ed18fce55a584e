import Glibc

/// A pseudoterminal: the test holds the side of the terminal, a program the side of the process.
package final class Pseudoterminal {
  /// The descriptor on the terminal's side, nonblocking.
  package let controller: Int32
  /// The descriptor on the process's side.
  ///
  /// It stays open because the system resets the settings when the last descriptor of this side is
  /// closed.
  package let processSide: Int32
  /// The path that a process opens to be on this terminal.
  package let path: String
  /// Everything that was read so far.
  package private(set) var received: [UInt8] = []

  /// Opens a pseudoterminal of the given size.
  ///
  /// - Parameters:
  ///   - columns: The width of the window.
  ///   - rows: The height of the window.
  /// - Throws: `ExecutableFailure` when the system has none left.
  package init(columns: UInt16 = 80, rows: UInt16 = 24) throws {
    let descriptor = unsafe open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw ExecutableFailure("cannot open /dev/ptmx") }
    // unlockpt and ptsname are hidden behind _XOPEN_SOURCE; these are the requests that they make:
    // TIOCSPTLCK and TIOCGPTN of asm-generic/ioctls.h.
    var isLocked: Int32 = 0
    var number: UInt32 = 0
    guard unsafe ioctl(descriptor, 0x4004_5431, &isLocked) == 0,
      unsafe ioctl(descriptor, 0x8004_5430, &number) == 0
    else {
      close(descriptor)
      throw ExecutableFailure("cannot unlock a pseudoterminal")
    }
    let path = "/dev/pts/\(number)"
    let side = unsafe open(path, O_RDWR | O_NOCTTY | O_CLOEXEC)
    guard side >= 0 else {
      close(descriptor)
      throw ExecutableFailure("cannot open \(path)")
    }
    controller = descriptor
    processSide = side
    self.path = path
    resize(columns: columns, rows: rows)
  }

  deinit {
    close(processSide)
    close(controller)
  }

  /// Changes the window's size; the system sends SIGWINCH to the foreground processes.
  package func resize(columns: UInt16, rows: UInt16) {
    var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
    _ = unsafe ioctl(controller, UInt(TIOCSWINSZ), &size)
  }

  /// Types text on the terminal.
  package func type(_ text: String) {
    let bytes = Array(text.utf8)
    var start = 0
    while start < bytes.count {
      let written = unsafe bytes.withUnsafeBytes { all in
        let part = unsafe UnsafeRawBufferPointer(rebasing: all[start...])
        return unsafe write(controller, part.baseAddress, part.count)
      }
      if written > 0 { start += written } else { drain(milliseconds: 10) }
    }
  }

  /// Reads the bytes that have arrived, waiting up to `milliseconds` for the first one.
  package func drain(milliseconds: Int32 = 0) {
    var wait = pollfd(fd: controller, events: Int16(POLLIN), revents: 0)
    var patience = milliseconds
    var block = [UInt8](repeating: 0, count: 65_536)
    while unsafe poll(&wait, 1, patience) > 0 {
      let count = unsafe block.withUnsafeMutableBytes {
        unsafe read(controller, $0.baseAddress, $0.count)
      }
      guard count > 0 else {
        // The other side is not open (yet, or any more).
        if milliseconds > 0 { usleep(2000) }
        return
      }
      received += block[..<count]
      patience = 0
    }
  }

  /// Everything that was read so far, as text.
  package var text: String { String(decoding: received, as: UTF8.self) }

  /// Forgets what was read so far.
  package func forget() { received.removeAll() }

  /// Reads until `text` has arrived, or `seconds` have passed.
  ///
  /// - Returns: Whether it has arrived.
  package func wait(for text: String, seconds: Double = 60) -> Bool {
    wait(seconds: seconds) { self.text.contains(text) }
  }

  /// Reads until a condition holds, or `seconds` have passed.
  ///
  /// - Returns: Whether it holds.
  package func wait(seconds: Double = 60, until condition: () -> Bool) -> Bool {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while true {
      drain(milliseconds: 20)
      if condition() { return true }
      if ContinuousClock.now > deadline { return false }
    }
  }

  /// Starts a built executable of this package on the terminal, as the leader of a new session.
  ///
  /// - Parameters:
  ///   - name: The executable's name.
  ///   - arguments: The arguments after the name.
  ///   - environment: Variables added to those of the test process.
  ///   - errorPath: A file for standard error; nil means the terminal.
  /// - Returns: The process.
  /// - Throws: `ExecutableFailure` when it could not be started.
  package func start(
    _ name: String, _ arguments: [String], environment: [String: String] = [:],
    errorPath: String? = nil
  ) throws -> ChildProcess {
    let error: ChildProcess.Descriptor =
      errorPath.map { .open(2, $0, O_WRONLY | O_CREAT | O_TRUNC) } ?? .open(2, path, O_RDWR)
    return try ChildProcess(
      path: executablePath(name), arguments: arguments,
      environment: ["TERM": "xterm"].merging(environment) { $1 },
      descriptors: [.open(0, path, O_RDWR), .open(1, path, O_RDWR), error], ownSession: true)
  }

  /// The terminal's line settings, as numbers to compare: input, output, control and local flags, and the
  /// control characters.
  package var settings: [UInt32] {
    var settings = termios()
    guard unsafe tcgetattr(processSide, &settings) == 0 else { return [] }
    let characters = unsafe withUnsafeBytes(of: settings.c_cc) { unsafe $0.map { UInt32($0) } }
    return [settings.c_iflag, settings.c_oflag, settings.c_cflag, settings.c_lflag] + characters
  }
}
