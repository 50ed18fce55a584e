import DuetCompressor
import DuetRuntime
import Foundation
import TestSupport
import Testing

/// `compress tune` from the command line.
@Suite("compress tune")
struct TuneCommandTests {
  private let folder: TemporaryFolder
  private let model: String
  private let compressed: String

  /// A random model with the tokenizer of models/stories, compressed.
  init() throws {
    folder = try TemporaryFolder()
    model = "\(folder.path)/model"
    compressed = "\(folder.path)/compressed"
    let tiny = TinyCheckpoint(
      Configuration(
        hiddenSize: 64, intermediateSize: 96, layerCount: 2, headCount: 2, keyValueHeadCount: 2,
        vocabularySize: 4096, contextLength: 64))
    let files = try TemporaryFolder()
    try tiny.write(to: files)
    try FileManager.default.copyItem(atPath: files.path, toPath: model)
    for file in ["tokenizer.json", "tokenizer_config.json"] {
      try FileManager.default.copyItem(
        atPath: SharedData.project("models/stories/\(file)"), toPath: "\(model)/\(file)")
    }
    let story = try Data(
      contentsOf: URL(fileURLWithPath: SharedData.project("models/stories/calibration.txt")))
    try story.prefix(6000).write(to: URL(fileURLWithPath: "\(model)/calibration.txt"))
    let done = try runExecutable(
      "compress",
      [model, "-o", compressed, "--format", "int2", "--samples", "8", "-c", "32", "--quiet"])
    try #require(done.exitCode == 0, "\(done.stderr)")
  }

  private func tune(_ options: [String], _ path: String? = nil) throws -> ExecutableResult {
    try runExecutable("compress", ["tune", path ?? compressed, "-t", "1"] + options)
  }

  private var common: [String] { options() }

  private func options(original: String? = nil, heldOut: Int = 2) -> [String] {
    [
      "--original", original ?? model, "--steps", "2", "--batch", "2", "--held-out", "\(heldOut)",
      "--check-every", "1", "--samples", "8", "-c", "32",
    ]
  }

  @Test("a run says what it does, for people and for programs, and its model runs")
  func runs() throws {
    let output = "\(folder.path)/tuned"
    let text = try tune(common + ["-o", output])
    #expect(text.exitCode == 0, "\(text.stderr)")
    let lines = text.stdout.split(separator: "\n")
    #expect(lines.count == 5, "\(text.stdout)")
    #expect(lines[0].hasPrefix("plan ") && lines[0].contains("2 steps of 2 samples of 32 tokens"))
    for (index, line) in lines[1...3].enumerated() { #expect(line.hasPrefix("step \(index) ")) }
    #expect(lines[4].hasPrefix("done       tuned"))
    #expect(!text.stderr.contains("warning"), "\(text.stderr)")

    let json = try tune(common + ["-o", "\(folder.path)/second", "--json", "--quiet"])
    let document = try #require(
      try JSONSerialization.jsonObject(with: Data(json.stdout.utf8)) as? [String: Any])
    #expect(document["steps"] as? Int == 2 && document["resumed_steps"] as? Int == 0)
    #expect((document["checks"] as? [[String: Any]])?.count == 3)
    #expect((document["forecast_seconds"] as? Double ?? 0) > 0)
    // The samples, and so everything, follow from the options.
    let weights = try ["tuned", "second"].map {
      try Data(contentsOf: URL(fileURLWithPath: "\(folder.path)/\($0)/model.safetensors"))
    }
    #expect(weights[0] == weights[1])
    let chat = try runExecutable(
      "chat", ["-m", output, "-p", "Once", "-n", "3", "--temperature", "0"])
    #expect(chat.exitCode == 0, "\(chat.stderr)")
  }

  @Test("--dry-run forecasts, and writes nothing")
  func forecast() throws {
    let output = "\(folder.path)/none"
    let result = try tune(common + ["-o", output, "--dry-run", "--json"])
    #expect(result.exitCode == 0, "\(result.stderr)")
    let document = try #require(
      try JSONSerialization.jsonObject(with: Data(result.stdout.utf8)) as? [String: Any])
    #expect(
      document["dry_run"] as? Bool == true && (document["memory_bytes"] as? Int ?? 0) > 1 << 20)
    #expect(!FileManager.default.fileExists(atPath: output))
  }

  @Test("what cannot be tuned is refused in one sentence")
  func refusals() throws {
    let output = ["-o", "\(folder.path)/none"]
    let other = TinyCheckpoint(
      Configuration(
        hiddenSize: 64, intermediateSize: 96, layerCount: 1, headCount: 2, vocabularySize: 300))
    let files = try TemporaryFolder()
    try other.write(to: files)
    let cases: [(options: [String], path: String?, code: Int32, words: String)] = [
      (output, nil, 2, "--original"),
      (common, nil, 2, "--output"),
      (common + output, model, 3, "is not compressed"),
      (output + ["--original", compressed], nil, 3, "compressed already"),
      (output + ["--original", files.path], nil, 3, "vocabulary of 300"),
      (options(heldOut: 7) + output, nil, 2, "fewer than the 9"),
      (common + ["-o", "\(compressed)/inside"], nil, 2, "inside"),
      (common + ["-o", "\(model)/inside"], nil, 2, "inside"),
      (common + output + ["--memory-limit", "1MiB"], nil, 4, "--memory-limit"),
      (common + output + ["--resume", "required"], nil, 6, "resume"),
    ]
    for (options, path, code, words) in cases {
      let result = try tune(options, path)
      #expect(result.exitCode == code, "\(words): \(result.exitCode) \(result.stderr)")
      let errors = result.stderr.split(separator: "\n")
      #expect(errors.count == 1 && errors[0].contains(words), "\(words): \(result.stderr)")
    }
    #expect(!FileManager.default.fileExists(atPath: "\(folder.path)/none/config.json"))
  }

  @Test("another original is tuned to, with a warning")
  func otherOriginal() throws {
    let other = "\(folder.path)/other"
    try FileManager.default.copyItem(atPath: model, toPath: other)
    var text = try String(contentsOfFile: "\(other)/config.json", encoding: .utf8)
    text.append(" ")
    try text.write(toFile: "\(other)/config.json", atomically: true, encoding: .utf8)
    let result = try tune(options(original: other) + ["-o", "\(folder.path)/tuned", "--quiet"])
    #expect(result.exitCode == 0, "\(result.stderr)")
    #expect(result.stderr.contains("by its checksum this is not the model"))
  }
}
