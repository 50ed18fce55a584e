internal import Glibc
internal import Synchronization

/// The requests to stop that have come as signals: SIGINT (Ctrl-C) and SIGTERM.
///
/// The handlers only count. Whoever does long work looks here between two steps. When nobody has
/// looked at three SIGINT or two SIGTERM, the process ends at once, terminal restored.
package enum InterruptFlag {
  private static let interrupts = Atomic<Int>(0)
  private static let terminations = Atomic<Int>(0)
  private static let isInstalled = Atomic<Bool>(false)

  /// Starts to catch the two signals; before that they end the process.
  package static func install() {
    // Reading them here makes sure that they exist before a handler needs them.
    _ = interrupts.load(ordering: .relaxed) + terminations.load(ordering: .relaxed)
    guard !isInstalled.exchange(true, ordering: .acquiringAndReleasing) else { return }
    SignalAction.install(SIGINT) { _ in
      InterruptFlag.count(InterruptFlag.interrupts, patience: 3, .interrupted)
    }
    SignalAction.install(SIGTERM) { _ in
      InterruptFlag.count(InterruptFlag.terminations, patience: 2, .terminated)
    }
  }

  /// Whether work should stop.
  package static var isRaised: Bool {
    interrupts.load(ordering: .acquiring) > 0 || isTerminated
  }

  /// Whether SIGTERM has come; the process should end with code 143.
  package static var isTerminated: Bool { terminations.load(ordering: .acquiring) > 0 }

  /// Whether SIGINT has come since the last call; forgets it.
  package static func takeInterrupt() -> Bool {
    interrupts.exchange(0, ordering: .acquiringAndReleasing) > 0
  }

  /// The exit code of a run that stopped because of the flag.
  package static var exitCode: ExitCode { isTerminated ? .terminated : .interrupted }

  private static func count(_ counter: borrowing Atomic<Int>, patience: Int, _ code: ExitCode) {
    if counter.wrappingAdd(1, ordering: .acquiringAndReleasing).newValue >= patience {
      TerminalMode.restore()
      _exit(code.rawValue)
    }
  }
}

/// The installing of signal handlers.
enum SignalAction {
  /// Installs a handler; system calls that it interrupts go on, but for `poll`.
  static func install(_ number: Int32, _ handler: @escaping @convention(c) (Int32) -> Void) {
    var action = sigaction()
    unsafe action.__sigaction_handler.sa_handler = handler
    unsafe sigemptyset(&action.sa_mask)
    action.sa_flags = SA_RESTART
    unsafe sigaction(number, &action, nil)
  }
}
