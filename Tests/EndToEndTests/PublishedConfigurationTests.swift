import Foundation
import TestSupport
import Testing

/// Configurations that programs of others write, with weights that have a reference: the values of a forward
/// pass in double precision by the rules of transformers 5.24, from the project's list of failing inputs.
@Suite("Configurations as others write them")
struct PublishedConfigurationTests {
  private static let model = SharedData.path("models/stories260K")
  private static let text = SharedData.path("cases/text.txt")

  /// A copy of the model with another config.json.
  private func folder(_ old: String, _ new: String) throws -> TemporaryFolder {
    let source = try #require(Self.model)
    let folder = try TemporaryFolder()
    for name in ["model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
      try FileManager.default.copyItem(
        atPath: "\(source)/\(name)", toPath: "\(folder.path)/\(name)")
    }
    let text = try String(contentsOfFile: "\(source)/config.json", encoding: .utf8)
    let pattern = try NSRegularExpression(pattern: old)
    let changed = pattern.stringByReplacingMatches(
      in: text, range: NSRange(text.startIndex..., in: text), withTemplate: new)
    #expect(changed != text)
    try folder.write("config.json", changed)
    return folder
  }

  private func perplexity(_ path: String, _ more: [String]) throws -> Double {
    let result = try runExecutable(
      "perplexity", ["-m", path, "--kv-cache", "f32", "--json", "--quiet"] + more)
    #expect(result.exitCode == 0, "\(result.stderr)")
    let document = try JSONSerialization.jsonObject(with: result.outputBytes) as? [String: Any]
    let results = document?["results"] as? [[String: Any]]
    return try #require(results?.first?["perplexity"] as? Double)
  }

  // Half a unit in the last published place, and 1e-5 relative for arithmetic in F32.
  @Test(
    "the frequencies of the rotary embedding are those that are written",
    .enabled(if: model != nil && text != nil, "needs ../shared"),
    arguments: [
      (
        #""rope_scaling": null,\s*"rope_theta": 10000.0"#,
        #""rope_scaling": {"rope_type": "default", "rope_theta": 500000.0}"#, 3.1849
      ),
      (
        #""rope_scaling": null,\s*"rope_theta": 10000.0"#,
        #""rope_parameters": {"rope_type": "default", "rope_theta": 500000}"#, 3.1849
      ),
      (
        #""rope_scaling": null"#,
        """
        "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 64.0}
        """, 4.2447
      ),
    ] as [(String, String, Double)])
  func frequencies(old: String, new: String, expected: Double) throws {
    let folder = try folder(old, new)
    let text = try #require(Self.text)
    let value = try perplexity(folder.path, ["-f", text, "-c", "48", "--windows", "1"])
    #expect(abs(value - expected) < 5e-5 + 1e-5 * expected, "\(value)")
  }

  @Test(
    "a text shorter than a window is one window where the tail is scored",
    .enabled(if: model != nil, "needs ../shared"),
    arguments: [["--tail", "score"], ["--bos", "every"], ["-c", "6"]])
  func shortText(options: [String]) throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("short.txt", "Once upon a time.")
    let value = try perplexity(try #require(Self.model), ["-f", path] + options)
    #expect(abs(value - 6.659) < 5e-4 + 1e-4, "\(value)")
  }

  @Test("a head that is not tied, though config.json says so, is mentioned by every program")
  func ownHead() throws {
    let folder = try RefusableModel.folder()
    let text = String(decoding: try folder.read("config.json"), as: UTF8.self)
    try folder.write(
      "config.json",
      text.replacingOccurrences(
        of: "\"tie_word_embeddings\": false", with: "\"tie_word_embeddings\": true"))
    let warning = "lm_head.weight differs from it, so they are not tied"
    let result = try RefusableModel.chat(folder.path)
    #expect(result.exitCode == 0 && result.stderr.contains(warning), "\(result.stderr)")
    // The answer is that of the same model without the tie.
    try folder.write("config.json", text)
    let untied = try RefusableModel.chat(folder.path)
    #expect(untied.stdout == result.stdout && !untied.stderr.contains(warning))
  }

  @Test("--top-k -1 and 0 mean all tokens", arguments: ["-1", "0"])
  func topK(value: String) throws {
    let folder = try RefusableModel.folder()
    let result = try RefusableModel.chat(folder.path, ["--top-k", value, "--top-p", "1"])
    #expect(result.exitCode == 0, "\(result.stderr)")
    try folder.write("generation_config.json", "{\"top_k\": \(value), \"do_sample\": true}")
    #expect(try RefusableModel.chat(folder.path).exitCode == 0)
  }

  @Test("a matrix without inputs is compressed, and a warning says so")
  func unseenInputs() throws {
    let folder = try RefusableModel.folder { tiny in
      for name in ["up_proj.weight"] {
        let key = "model.layers.1.mlp.\(name)"
        tiny.tensors[key]?.values = [Float](repeating: 0, count: 12 * 8)
      }
    }
    let text = SharedData.project("models/stories/calibration.txt")
    let result = try runExecutable(
      "compress",
      [
        folder.path, "-o", "\(folder.path)-out", "--method", "gptq", "--format", "int4",
        "--calibration",
        text, "--samples", "2", "-c", "16", "--quiet",
      ])
    defer { try? FileManager.default.removeItem(atPath: "\(folder.path)-out") }
    #expect(result.exitCode == 0, "\(result.stderr)")
    #expect(result.stderr.contains("model.layers.1.mlp.down_proj: all its inputs are zero"))
    #expect(result.stderr.contains("--keep down_proj"))
    let report = try String(
      contentsOfFile: "\(folder.path)-out/compression_report.json", encoding: .utf8)
    #expect(report.components(separatedBy: "\"inputs_are_zero\": true").count == 2)
  }
}
