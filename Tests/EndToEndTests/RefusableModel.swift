import DuetRuntime
import DuetSystem
import Foundation
import TestSupport
import Testing

/// A tiny model that works, to be damaged and given to the executables.
enum RefusableModel {
  /// Writes the model, with the tokenizer of models/stories, into a folder of its own.
  static func folder(
    _ change: (inout TinyCheckpoint) -> Void = { _ in }
  ) throws -> TemporaryFolder {
    var checkpoint = checkpoint
    change(&checkpoint)
    let folder = try TemporaryFolder()
    try checkpoint.write(to: folder)
    for name in ["tokenizer.json", "tokenizer_config.json"] {
      try FileManager.default.copyItem(
        atPath: SharedData.project("models/stories/\(name)"), toPath: "\(folder.path)/\(name)")
    }
    return folder
  }

  /// The model's tensors.
  static var checkpoint: TinyCheckpoint {
    TinyCheckpoint(
      Configuration(
        hiddenSize: 8, intermediateSize: 12, layerCount: 2, headCount: 2, vocabularySize: 4096,
        contextLength: 64, hasAttentionBias: true))
  }

  /// Lets the model of a folder say four tokens.
  static func chat(_ path: String, _ more: [String] = []) throws -> ExecutableResult {
    try runExecutable(
      "chat", ["-m", path, "-p", "Hello", "-n", "4", "--temperature", "0"] + more)
  }
}

/// Expects one line on standard error with all of `parts`, and nothing on standard output.
func expectRefusal(
  _ result: ExecutableResult, code: Int32, _ parts: String...,
  location: SourceLocation = #_sourceLocation
) {
  #expect(!result.timedOut, sourceLocation: location)
  #expect(result.exitCode == code, "\(result.stderr)", sourceLocation: location)
  #expect(result.stdout.isEmpty, sourceLocation: location)
  let lines = result.stderr.split(separator: "\n")
  #expect(lines.count == 1, "\(result.stderr)", sourceLocation: location)
  for part in parts {
    #expect(result.stderr.contains(part), "\(result.stderr)", sourceLocation: location)
  }
}
