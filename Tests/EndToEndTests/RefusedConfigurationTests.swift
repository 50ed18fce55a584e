import Foundation
import TestSupport
import Testing

/// Values of config.json that must be refused: a key, what it becomes, and a part of the sentence.
struct BadConfiguration: Sendable, CustomTestStringConvertible {
  let key: String
  let value: String?
  let fragment: String
  var code: Int32 = 3

  var testDescription: String { "\(key): \(value?.prefix(60) ?? "nothing")" }

  static let all: [BadConfiguration] = [
    .init(key: "model_type", value: nil, fragment: "\"model_type\" is missing"),
    .init(key: "model_type", value: "\"mixtral\"", fragment: "mixtral"),
    .init(key: "model_type", value: "[\"llama\"]", fragment: "must be a string"),
    .init(key: "hidden_act", value: "\"relu\"", fragment: "relu"),
    .init(key: "hidden_size", value: "0", fragment: "\"hidden_size\" is 0"),
    .init(key: "hidden_size", value: "-8", fragment: "\"hidden_size\" is -8"),
    .init(key: "hidden_size", value: "8.5", fragment: "must be an integer"),
    .init(key: "hidden_size", value: "\"8\"", fragment: "must be an integer"),
    .init(key: "hidden_size", value: "18446744073709551624", fragment: "hidden_size"),
    .init(key: "hidden_size", value: "16", fragment: "model.embed_tokens.weight"),
    .init(key: "intermediate_size", value: "16777216", fragment: "mlp."),
    .init(key: "intermediate_size", value: "1e999", fragment: "intermediate_size"),
    .init(key: "num_hidden_layers", value: "16777216", fragment: "model.layers.2."),
    .init(key: "num_hidden_layers", value: "0", fragment: "num_hidden_layers"),
    .init(key: "num_attention_heads", value: "16777216", fragment: "head_dim"),
    .init(key: "num_key_value_heads", value: "3", fragment: "num_key_value_heads"),
    .init(key: "num_key_value_heads", value: "1", fragment: "k_proj"),
    .init(key: "head_dim", value: "3", fragment: "head_dim"),
    .init(key: "vocab_size", value: "4095", fragment: "model.embed_tokens.weight"),
    .init(key: "vocab_size", value: "9223372036854775807", fragment: "vocab_size"),
    .init(key: "max_position_embeddings", value: "0", fragment: "max_position_embeddings"),
    .init(key: "rms_norm_eps", value: "-1e-5", fragment: "rms_norm_eps"),
    .init(key: "rms_norm_eps", value: "[1]", fragment: "rms_norm_eps"),
    .init(key: "rope_theta", value: "1e999", fragment: "rope_theta"),
    .init(key: "rope_scaling", value: "{\"rope_type\": \"longrope\"}", fragment: "longrope"),
    .init(key: "rope_scaling", value: "{\"rope_theta\": 5}", fragment: "rope_scaling.rope_theta"),
    .init(
      key: "rope_scaling", value: "{\"type\": \"linear\", \"factor\": 0}", fragment: "factor"),
    .init(key: "attention_bias", value: "\"yes\"", fragment: "attention_bias"),
    .init(key: "mlp_bias", value: "true", fragment: "gate_proj.bias"),
    .init(key: "eos_token_id", value: "-1", fragment: "eos_token_id"),
    .init(
      key: "quantization_config", value: "{\"quant_method\": \"bitsandbytes\"}",
      fragment: "bitsandbytes"),
    .init(
      key: "quantization_config", value: "{\"quant_method\": \"duet\", \"format_version\": 99}",
      fragment: "format_version"),
    .init(key: "extra", value: String(repeating: "[", count: 100_000), fragment: "nested"),
    .init(key: "\u{1}", value: "1", fragment: "not valid JSON"),
    .init(key: "hidden_size\": 8, \"hidden_size", value: "8", fragment: "appears twice"),
  ]
}

/// Configurations that cannot be true, given to executables.
@Suite("Refused configurations")
struct RefusedConfigurationTests {
  @Test("there are twenty-five false configurations")
  func thereAreTwentyFive() { #expect(BadConfiguration.all.count >= 25) }

  /// Replaces a value in the lines of `TinyCheckpoint.configurationText`, or adds it.
  private func text(_ original: String, with bad: BadConfiguration) throws -> String {
    let value = bad.value.map { "\"\(bad.key)\": \($0)" }
    let pattern = try NSRegularExpression(
      pattern: "\"\(NSRegularExpression.escapedPattern(for: bad.key))\": (\\[[^]]*\\]|[^,}]*)")
    let whole = NSRange(original.startIndex..., in: original)
    if pattern.firstMatch(in: original, range: whole) != nil {
      return pattern.stringByReplacingMatches(
        in: original, range: whole, withTemplate: value ?? "\"ignored\": 0")
    }
    return original.replacingOccurrences(
      of: "{\"model_type\"", with: "{\(value ?? ""), \"model_type\"")
  }

  @Test("a configuration that cannot be true is refused", arguments: BadConfiguration.all)
  func refuses(bad: BadConfiguration) throws {
    let folder = try RefusableModel.folder()
    let original = String(decoding: try folder.read("config.json"), as: UTF8.self)
    let changed = try text(original, with: bad)
    #expect(changed != original)
    try folder.write("config.json", changed)
    expectRefusal(try RefusableModel.chat(folder.path), code: bad.code, "chat: ", bad.fragment)
  }

  /// Every program that loads a model refuses with the same sentence.
  @Test(
    "every program that loads a model refuses it",
    arguments: ["perplexity", "evaluate", "bench", "compress"])
  func otherProgramsRefuseToo(executable: String) throws {
    let folder = try RefusableModel.folder()
    let original = String(decoding: try folder.read("config.json"), as: UTF8.self)
    try folder.write(
      "config.json", original.replacingOccurrences(of: "\"llama\"", with: "\"mamba\""))
    let questions = try folder.write(
      "q.jsonl", "{\"context\": \"a\", \"choices\": [\"b\", \"c\"], \"gold\": 0}\n")
    let text = SharedData.project("models/stories/heldout.txt")
    let arguments = [
      "perplexity": ["-m", folder.path, "-f", text],
      "evaluate": ["-m", folder.path, "--tasks", questions], "bench": ["-m", folder.path],
      "compress": [folder.path, "-o", "\(folder.path)/out", "--calibration", text],
    ]
    let result = try runExecutable(executable, arguments[executable] ?? [])
    expectRefusal(
      result, code: 3, "\(executable): ", "config.json", "\"model_type\" is \"mamba\"")
  }
}
