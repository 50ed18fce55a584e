internal import Glibc
internal import Synchronization

/// Handlers for the signals of stopping (Ctrl-Z), continuing and resizing while lines are edited.
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

  /// Returns whether the window's size has changed since the last call.
  static func takeResized() -> Bool { wasResized.exchange(false, ordering: .acquiringAndReleasing) }

  /// Returns whether the process was stopped and continued since the last call.
  static func takeResumed() -> Bool { wasResumed.exchange(false, ordering: .acquiringAndReleasing) }

  /// Stops the process group as Ctrl-Z does, and returns when it is continued.
  static func stop() {
    kill(0, SIGTSTP)
  }

  private static func installStop() {
    SignalAction.install(SIGTSTP) { _ in
      TerminalMode.suspend()
      // The default action stops the process as soon as the signal, blocked while its handler runs,
      // is unblocked. Execution continues here after SIGCONT, whose handler takes over the terminal.
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
