package import Foundation
import Glibc

/// The result of a run of an executable.
package struct ExecutableResult: Sendable {
  /// The exit code, or 128 plus the signal that ended the process.
  package let exitCode: Int32
  /// The bytes written to standard output.
  package let outputBytes: Data
  /// The bytes written to standard error.
  package let errorBytes: Data
  /// Whether the process was killed because its time was up.
  package let timedOut: Bool

  /// Standard output as text, with malformed UTF-8 repaired.
  package var stdout: String { String(decoding: outputBytes, as: UTF8.self) }
  /// Standard error as text, with malformed UTF-8 repaired.
  package var stderr: String { String(decoding: errorBytes, as: UTF8.self) }
}

/// The error of a test that could not start or observe a process.
package struct ExecutableFailure: Error, CustomStringConvertible {
  /// What went wrong.
  package let description: String

  init(_ what: String, code: Int32 = errno) {
    description = "\(what): \(unsafe String(cString: strerror(code)))"
  }
}

/// The path of a built executable of this package, which is in the folder of the running program.
package func executablePath(_ name: String) throws -> String {
  let folder = try executableFolder()
  let path = folder + "/" + name
  guard unsafe access(path, X_OK) == 0 else { throw ExecutableFailure("no executable at \(path)") }
  return path
}

private func executableFolder() throws -> String {
  let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
  return (own as NSString).deletingLastPathComponent
}

/// Runs a built executable of this package to its end.
///
/// Standard output and standard error go to files, so that neither is a terminal and no amount of
/// output can block the run.
///
/// - Parameters:
///   - name: The executable's name, as in Package.swift.
///   - arguments: The arguments after the name.
///   - stdin: The text on standard input; nil means an empty input.
///   - environment: Variables added to those of the test process.
///   - timeLimit: Seconds after which the process is killed.
/// - Returns: The exit code and all output.
/// - Throws: `ExecutableFailure` when the process could not be started.
package func runExecutable(
  _ name: String, _ arguments: [String] = [], stdin: String? = nil,
  environment: [String: String] = [:], timeLimit: Double = 120
) throws -> ExecutableResult {
  let folder = FileManager.default.temporaryDirectory
    .appendingPathComponent("duet-test-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  let input = folder.appendingPathComponent("in")
  let output = folder.appendingPathComponent("out")
  let error = folder.appendingPathComponent("err")
  try Data((stdin ?? "").utf8).write(to: input)

  let child = try ChildProcess(
    path: executablePath(name), arguments: arguments, environment: environment,
    descriptors: [
      .open(0, input.path, O_RDONLY),
      .open(1, output.path, O_WRONLY | O_CREAT | O_TRUNC),
      .open(2, error.path, O_WRONLY | O_CREAT | O_TRUNC),
    ])
  let end = child.wait(timeLimit: timeLimit)
  return ExecutableResult(
    exitCode: end.exitCode, outputBytes: try Data(contentsOf: output),
    errorBytes: try Data(contentsOf: error), timedOut: end.timedOut)
}

/// A process started by a test.
///
/// It is killed and collected when the last reference goes away, so a failing test leaves none behind.
package final class ChildProcess {
  /// The source of one descriptor of the child.
  package enum Descriptor: Sendable {
    /// The file at a path, opened in the child with the given flags.
    case open(Int32, String, Int32)
    /// A descriptor of the test process.
    case duplicate(Int32, from: Int32)
    /// Nothing: the descriptor is closed in the child.
    case closed(Int32)
  }

  /// The process id.
  package let identifier: pid_t
  private var exitCode: Int32?

  /// Starts a program.
  ///
  /// - Parameters:
  ///   - path: The path of the program.
  ///   - arguments: The arguments after the program's name.
  ///   - environment: Variables added to those of the test process.
  ///   - descriptors: The child's descriptors; others are closed on exec.
  ///   - ownSession: Whether the child leads a new session, so that the first terminal that it
  ///     opens controls it.
  /// - Throws: `ExecutableFailure` when the process could not be started.
  package init(
    path: String, arguments: [String], environment: [String: String] = [:],
    descriptors: [Descriptor], ownSession: Bool = false
  ) throws {
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    for descriptor in descriptors {
      switch descriptor {
      case .open(let target, let path, let flags):
        unsafe posix_spawn_file_actions_addopen(&actions, target, path, flags, 0o600)
      case .duplicate(let target, let source):
        unsafe posix_spawn_file_actions_adddup2(&actions, source, target)
      case .closed(let target):
        unsafe posix_spawn_file_actions_addclose(&actions, target)
      }
    }
    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    // The test runner may ignore or block signals that the child must see.
    var every = sigset_t()
    unsafe sigfillset(&every)
    unsafe posix_spawnattr_setsigdefault(&attributes, &every)
    var none = sigset_t()
    unsafe sigemptyset(&none)
    unsafe posix_spawnattr_setsigmask(&attributes, &none)
    // POSIX_SPAWN_SETSID = 0x80 is hidden behind _GNU_SOURCE.
    let flags =
      POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | (ownSession ? 0x80 : 0)
    unsafe posix_spawnattr_setflags(&attributes, Int16(flags))

    let variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    var pid: pid_t = 0
    let code = unsafe withCStrings([path] + arguments) { argv in
      unsafe withCStrings(variables.map { "\($0)=\($1)" }) { envp in
        unsafe posix_spawn(&pid, path, &actions, &attributes, argv, envp)
      }
    }
    guard code == 0 else { throw ExecutableFailure("cannot start \(path)", code: code) }
    identifier = pid
  }

  deinit { end(SIGKILL) }

  /// Sends a signal to the process, unless it has ended.
  package func signal(_ number: Int32) {
    if exitCode == nil { kill(identifier, number) }
  }

  /// The exit code when the process has ended, 128 plus the signal when one ended it, else nil.
  package func poll() -> Int32? {
    if let exitCode { return exitCode }
    var status: Int32 = 0
    guard unsafe waitpid(identifier, &status, WNOHANG) == identifier else { return nil }
    let signal = status & 0x7F
    exitCode = signal == 0 ? (status >> 8) & 0xFF : 128 + signal
    return exitCode
  }

  /// Waits until the process ends, and kills it after `timeLimit` seconds.
  package func wait(timeLimit: Double) -> (exitCode: Int32, timedOut: Bool) {
    let deadline = Date().addingTimeInterval(timeLimit)
    while Date() < deadline {
      if let code = poll() { return (code, false) }
      usleep(2000)
    }
    end(SIGKILL)
    return (exitCode ?? 128 + SIGKILL, true)
  }

  private func end(_ signal: Int32) {
    guard poll() == nil else { return }
    kill(identifier, signal)
    var status: Int32 = 0
    unsafe waitpid(identifier, &status, 0)
    exitCode = 128 + signal
  }
}

/// Calls `body` with a null-terminated array of C strings.
private func withCStrings<Result>(
  _ strings: [String],
  _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) throws -> Result
) rethrows -> Result {
  var pointers: [UnsafeMutablePointer<CChar>?] = unsafe strings.map { unsafe strdup($0) }
  unsafe pointers.append(nil)
  defer { unsafe pointers.forEach { unsafe free($0) } }
  return try unsafe body(pointers)
}
