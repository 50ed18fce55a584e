internal import Glibc
internal import Synchronization

/// Handlers for stopping (Ctrl-Z), going on and resizing while the terminal is in our hands.
enum TerminalSignals {
  private static let wasResized = Atomic<Bool>(false)
  private static let wasResumed = Atomic<Bool>(false)
  private static let isInstalled = Atomic<Bool>(false)

  /// Installs the handlers, once.
  static func install() {
    _ = wasResized.load(ordering: .relaxed)
    _ = wasResumed.load(ordering: .relaxed)
    guard !isInstalled.exchange(true, ordering: .acquiringAndReleasing) else { return }
    installStop()
    SignalAction.install(SIGCONT) { _ in
      TerminalMode.resume()
      TerminalSignals.wasResumed.store(true, ordering: .releasing)
    }
    SignalAction.install(SIGWINCH) { _ in
      TerminalSignals.wasResized.store(true, ordering: .releasing)
    }
  }

  /// Whether the window's size has changed since the last call.
  static func takeResized() -> Bool { wasResized.exchange(false, ordering: .acquiringAndReleasing) }

  /// Whether the process was stopped and went on since the last call.
  static func takeResumed() -> Bool { wasResumed.exchange(false, ordering: .acquiringAndReleasing) }

  /// Stops the process group as Ctrl-Z does, and returns when it goes on.
  static func stop() {
    kill(0, SIGTSTP)
  }

  private static func installStop() {
    SignalAction.install(SIGTSTP) { _ in
      TerminalMode.suspend()
      // The default action stops the process, once the signal is no longer held back by its own
      // handler. Execution goes on here after SIGCONT, whose handler takes the terminal again.
      _ = signal(SIGTSTP, SIG_DFL)
      _ = raise(SIGTSTP)
      var mask = sigset_t()
      unsafe sigemptyset(&mask)
      unsafe sigaddset(&mask, SIGTSTP)
      unsafe pthread_sigmask(SIG_UNBLOCK, &mask, nil)
      TerminalSignals.installStop()
      TerminalMode.resume()
    }
  }
}
