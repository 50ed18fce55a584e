internal import Glibc
internal import Synchronization

/// Handlers for the signals that end the process: they put the terminal back first.
///
/// Afterwards the signal takes the course it had before, so that core dumps and the toolchain's
/// backtraces stay as they are. A SIGBUS from a mapped file that was shortened while in use cannot
/// become a Swift error; it ends the process with one line and the exit code for I/O.
enum CrashSignals {
  private static let signals = [SIGHUP, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGFPE, SIGSEGV, SIGBUS]
  private static let isInstalled = Atomic<Bool>(false)

  // The actions found at the start, indexed by signal number, allocated once and never freed.
  nonisolated(unsafe) private static let previous = UnsafeMutablePointer<sigaction>.allocate(
    capacity: 65)
  // The line for SIGBUS and its length, made while allocation is still allowed.
  nonisolated(unsafe) private static let busMessage = UnsafeMutablePointer<UInt8>.allocate(
    capacity: 256)
  private static let busMessageCount = Atomic<Int>(0)

  /// Installs the handlers, once.
  static func install(name: String) {
    guard !isInstalled.exchange(true, ordering: .acquiringAndReleasing) else { return }
    let line =
      "\(name): a file that is mapped into memory was shortened or became unreadable while in use\n"
    let bytes = Array(line.utf8.prefix(256))
    for (index, byte) in bytes.enumerated() { unsafe busMessage[index] = byte }
    busMessageCount.store(bytes.count, ordering: .releasing)
    for number in signals {
      var action = sigaction()
      unsafe action.__sigaction_handler.sa_sigaction = { number, information, _ in
        unsafe CrashSignals.handle(number, information)
      }
      unsafe sigemptyset(&action.sa_mask)
      // A stack overflow leaves no room on the stack; the toolchain's runtime has set up another.
      action.sa_flags = SA_SIGINFO | SA_ONSTACK
      unsafe previous.advanced(by: Int(number)).initialize(to: sigaction())
      unsafe sigaction(number, &action, previous.advanced(by: Int(number)))
    }
  }

  private static func handle(_ number: Int32, _ information: UnsafeMutablePointer<siginfo_t>?) {
    TerminalMode.restore()
    // 2 is BUS_ADRERR: the address is mapped, but there is no file behind it any more.
    if number == SIGBUS, unsafe code(information) == 2 {
      _ = unsafe write(2, busMessage, busMessageCount.load(ordering: .acquiring))
      _exit(ExitCode.inputOutput.rawValue)
    }
    unsafe sigaction(number, previous.advanced(by: Int(number)), nil)
    // An invalid access happens again when the handler returns; other signals must be sent again.
    // Signals from a process have the code 0 (SI_USER) or a negative one, faults a positive one.
    let isFault =
      number == SIGILL || number == SIGTRAP || number == SIGFPE || number == SIGSEGV
      || number == SIGBUS
    if unsafe !isFault || code(information) <= 0 { _ = raise(number) }
  }

  private static func code(_ information: UnsafeMutablePointer<siginfo_t>?) -> Int32 {
    guard let information = unsafe information else { return 0 }
    return unsafe information.pointee.si_code
  }
}
