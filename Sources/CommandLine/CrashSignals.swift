internal import Glibc
internal import Synchronization

/// Signal handlers that restore the terminal before a signal ends the process.
///
/// Afterwards the signal has the effect it had before the handlers were installed, so core dumps
/// and the toolchain's backtraces still work. `MappedFile` handles SIGBUS, which a truncated file
/// causes.
enum CrashSignals {
  /// All named signals that end a process by default and are not handled elsewhere.
  ///
  /// Left out are SIGINT and SIGTERM (`InterruptFlag`), SIGBUS, SIGPIPE and SIGXFSZ (`run`), and
  /// SIGKILL, which cannot be handled.
  private static let signals = [
    SIGHUP, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGFPE, SIGSEGV, SIGSYS, SIGALRM, SIGVTALRM, SIGPROF,
    SIGXCPU, SIGUSR1, SIGUSR2, SIGPOLL, SIGPWR, SIGSTKFLT,
  ]
  private static let isInstalled = Atomic<Bool>(false)

  // The actions before `install`, indexed by signal number, allocated once and never freed.
  nonisolated(unsafe) private static let previous = UnsafeMutablePointer<sigaction>.allocate(
    capacity: 65)

  /// Installs the handlers, once.
  static func install() {
    guard !isInstalled.exchange(true, ordering: .acquiringAndReleasing) else { return }
    for number in signals {
      var action = sigaction()
      unsafe action.__sigaction_handler.sa_sigaction = { number, information, _ in
        unsafe CrashSignals.handle(number, information)
      }
      unsafe sigemptyset(&action.sa_mask)
      // A stack overflow leaves no space on the stack; the toolchain's runtime has set up another.
      action.sa_flags = SA_SIGINFO | SA_ONSTACK
      unsafe previous.advanced(by: Int(number)).initialize(to: sigaction())
      unsafe sigaction(number, &action, previous.advanced(by: Int(number)))
    }
  }

  private static func handle(_ number: Int32, _ information: UnsafeMutablePointer<siginfo_t>?) {
    TerminalMode.restore()
    unsafe sigaction(number, previous.advanced(by: Int(number)), nil)
    // A fault is raised again when the handler returns; other signals must be sent again.
    // Signals from a process have the code 0 (SI_USER) or a negative one, faults a positive one.
    let isFault = number == SIGILL || number == SIGTRAP || number == SIGFPE || number == SIGSEGV
    if unsafe !isFault || code(information) <= 0 { sendAgain(number) }
  }

  /// Raises a signal with its earlier action, then with the default action to end the process.
  ///
  /// The toolchain's handler prints a backtrace and returns, and relies on the fault to happen
  /// again. A signal sent by a process (`kill -ABRT`) has no fault, so without the second `raise`
  /// the process would continue.
  private static func sendAgain(_ number: Int32) {
    var mask = sigset_t()
    unsafe sigemptyset(&mask)
    unsafe sigaddset(&mask, number)
    // The signal is blocked while its handler runs.
    unsafe pthread_sigmask(SIG_UNBLOCK, &mask, nil)
    _ = raise(number)
    _ = signal(number, SIG_DFL)
    _ = raise(number)
  }

  private static func code(_ information: UnsafeMutablePointer<siginfo_t>?) -> Int32 {
    guard let information = unsafe information else { return 0 }
    return unsafe information.pointee.si_code
  }
}
