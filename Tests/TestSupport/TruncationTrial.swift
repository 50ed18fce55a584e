import Foundation
import Glibc

/// A trial of `chat` in which its file of weights is truncated while it writes an answer.
package enum TruncationTrial {
  /// The exit code and the error output of the process.
  package struct Outcome: Sendable {
    /// The exit code.
    package let exitCode: Int32
    /// Everything on standard error.
    package let error: String

    /// Whether the process ended with exit code 4 and one sentence that names the file.
    package var isAsPromised: Bool {
      exitCode == 4 && error.split(separator: "\n").count == 1
        && error.hasSuffix(
          "/model.safetensors: the file was truncated by another program while in use\n")
    }
  }

  /// Starts a long answer of a copy of models/stories and truncates its weights to `size` bytes.
  ///
  /// The cut comes `delay` microseconds after the first words. Then the function waits for the end.
  ///
  /// - Parameters:
  ///   - size: The bytes that are left.
  ///   - delay: Microseconds between the first words and the cut.
  ///   - options: Further options of chat.
  /// - Returns: The exit code and the error output.
  /// - Throws: `ExecutableFailure` when it could not be tried.
  package static func run(
    size: Int, delay: UInt32 = 0, options: [String] = []
  ) throws -> Outcome {
    let folder = try TemporaryFolder()
    for name in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
      try folder.copy(SharedData.project("models/stories/\(name)"))
    }
    let child = try ChildProcess(
      path: executablePath("chat"),
      // A temperature of 3 rarely gives the token that ends a story, so the text goes on.
      arguments: [
        "-m", folder.path, "--raw", "-p", "Once upon a time", "-n", "400", "--temperature", "3",
        "--top-k", "0", "--top-p", "1", "--min-p", "0", "-s", "1", "-t", "1",
      ] + options,
      descriptors: [
        .open(0, "/dev/null", O_RDONLY),
        .open(1, "\(folder.path)/out", O_WRONLY | O_CREAT | O_TRUNC),
        .open(2, "\(folder.path)/err", O_WRONLY | O_CREAT | O_TRUNC),
      ])
    let deadline = ContinuousClock.now + .seconds(60)
    while try folder.read("out").count < 20, child.poll() == nil {
      if ContinuousClock.now > deadline { throw ExecutableFailure("chat says nothing") }
      usleep(1000)
    }
    usleep(delay)
    if unsafe truncate("\(folder.path)/model.safetensors", size) != 0 {
      throw ExecutableFailure("cannot truncate the weights")
    }
    let end = child.wait(timeLimit: 60)
    let error = String(decoding: try folder.read("err"), as: UTF8.self)
    return Outcome(exitCode: end.exitCode, error: error)
  }
}
