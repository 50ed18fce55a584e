internal import Glibc
internal import Synchronization

/// The received requests to stop: the signals SIGINT (Ctrl-C) and SIGTERM.
///
/// The handlers only count the signals. Long work checks this flag between two steps. After three
/// SIGINT that `takeInterrupt` has not reset, or two SIGTERM, the handler restores the terminal and
/// ends the process.
package enum InterruptFlag {
  private static let interrupts = Atomic<Int>(0)
  private static let terminations = Atomic<Int>(0)
  private static let isInstalled = Atomic<Bool>(false)

  /// Installs the handlers; before this call the two signals end the process.
  package static func install() {
    // Reading the counters here makes sure that they are initialized before a handler needs them.
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

  /// Whether SIGTERM was received; the process should then end with code 143.
  package static var isTerminated: Bool { terminations.load(ordering: .acquiring) > 0 }

  /// Returns whether SIGINT was received since the last call, and resets its count.
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

/// The installation of signal handlers.
enum SignalAction {
  /// Installs a handler; system calls that it interrupts are restarted, except `poll`.
  static func install(_ number: Int32, _ handler: @escaping @convention(c) (Int32) -> Void) {
    var action = sigaction()
    unsafe action.__sigaction_handler.sa_handler = handler
    unsafe sigemptyset(&action.sa_mask)
    action.sa_flags = SA_RESTART
    unsafe sigaction(number, &action, nil)
  }
}
