internal import DuetSystem
internal import DuetText
internal import Glibc

/// The arguments and outputs of a run of an executable.
package struct Invocation {
  /// The parsed arguments.
  package let arguments: Arguments
  /// Standard output: results only.
  package let output: StandardOutput
  /// Standard error: notes and warnings.
  package let messages: Messages
}

/// Runs an executable: parses the process's arguments, calls `body`, reports errors and exits.
///
/// An error becomes one line `name: sentence` on standard error, or with JSON output the document
/// `{"error":{"code":...,"message":...}}` on standard output, where the code is the exit code.
/// When the reader of standard output closes it, the process ends without a message.
///
/// - Parameters:
///   - command: The table of options.
///   - body: The work. It returns the exit code and may throw any error; a `DuetError` decides the
///     exit code by its category.
/// - Returns: Never.
package func run(_ command: Command, _ body: (Invocation) throws -> ExitCode) -> Never {
  chooseBLASCore()
  // A closed pipe must become an error of `write`, so that the terminal is restored on the way out.
  _ = signal(SIGPIPE, SIG_IGN)
  // A file that grows beyond the process's limit must become an error of `write` too.
  _ = signal(SIGXFSZ, SIG_IGN)
  CrashSignals.install()
  MappedFile.installTruncationHandler(beforeExit: { TerminalMode.restore() })
  let arguments = Array(CommandLine.arguments.dropFirst())
  let code = execute(
    command, arguments: arguments, output: StandardOutput(), errorDescriptor: 2, body)
  TerminalMode.restore()
  exit(code.rawValue)
}

/// Parses, calls `body`, reports errors, and returns the exit code.
package func execute(
  _ command: Command, arguments: [String], output: StandardOutput, errorDescriptor: Int32,
  _ body: (Invocation) throws -> ExitCode
) -> ExitCode {
  let isJSON = command.requestsJSON(Array(arguments.prefix { $0 != "--" }))
  do {
    let invocation: Invocation
    switch try ArgumentParser(command).parse(arguments) {
    case .print(let text):
      try output.write(text)
      try output.flush()
      return .success
    case .run(let parsed):
      let messages = Messages(
        name: parsed.command.name, level: parsed.level, descriptor: errorDescriptor)
      invocation = Invocation(arguments: parsed, output: output, messages: messages)
    }
    let code = try body(invocation)
    try output.flush()
    return code
  } catch OutputError.closed {
    return .outputClosed
  } catch {
    return report(error, of: command, isJSON: isJSON, output, errorDescriptor)
  }
}

private func report(
  _ error: any Error, of command: Command, isJSON: Bool, _ output: StandardOutput,
  _ errorDescriptor: Int32
) -> ExitCode {
  let code = (error as? any DuetError).map { ExitCode($0.category) } ?? .failure
  let sentence = printable(String(describing: error), limit: 10_000)
  // A partly written document cannot be withdrawn, and a second one would make the output
  // unreadable; in that case the sentence is written to standard error.
  if isJSON, !output.hasWritten, !(error is OutputError) {
    output.discard()
    let document: JSONOutput = [
      "error": ["code": .integer(Int(code.rawValue)), "message": .string(sentence)]
    ]
    do {
      try output.write(document)
      try output.flush()
      return code
    } catch .closed {
      return .outputClosed
    } catch {
      // Continue below: write the sentence to standard error.
    }
  }
  try? output.flush()
  Messages(name: command.name, descriptor: errorDescriptor).error(sentence)
  return code
}

extension Arguments {
  /// The amount of messages, by `--quiet` and `--verbose`.
  fileprivate var level: Messages.Level {
    if self[CommonOptions.quiet] { return .quiet }
    return self[CommonOptions.verbose] ? .verbose : .normal
  }
}
