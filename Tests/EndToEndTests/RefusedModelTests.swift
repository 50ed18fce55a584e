import DuetRuntime
import Foundation
import TestSupport
import Testing

/// Damaged and foreign checkpoints given to the executables: one line, the documented exit code.
@Suite("Refused models")
struct RefusedModelTests {
  private func folder(
    _ change: (inout TinyCheckpoint) -> Void = { _ in }
  ) throws -> TemporaryFolder {
    try RefusableModel.folder(change)
  }

  private func chat(_ path: String) throws -> ExecutableResult { try RefusableModel.chat(path) }

  private func remove(_ name: String, from folder: TemporaryFolder) throws {
    try FileManager.default.removeItem(atPath: "\(folder.path)/\(name)")
  }

  @Test("the model that is damaged in the other tests runs")
  func theUndamagedModelRuns() throws {
    let folder = try folder()
    let result = try chat(folder.path)
    #expect(result.exitCode == 0, "\(result.stderr)")
  }

  @Test("tensors without a use are mentioned")
  func tensorsWithoutAUseAreMentioned() throws {
    let folder = try folder { $0.tensors["vision.weight"] = ([2], [1, 2]) }
    let result = try chat(folder.path)
    #expect(result.exitCode == 0)
    #expect(result.stderr.contains("warning: "))
    #expect(result.stderr.contains("vision.weight"))
  }

  @Test(
    "an unknown tensor of a layer is refused",
    arguments: ["mlp.experts.0.up_proj.weight", "self_attn.q_norm.weight"])
  func unknownTensorOfALayer(name: String) throws {
    let tensor = "model.layers.1.\(name)"
    let folder = try folder { $0.tensors[tensor] = ([2], [1, 2]) }
    expectRefusal(try chat(folder.path), code: 3, "model.safetensors", tensor)
  }

  // MARK: - Missing and foreign files

  @Test(
    "a missing folder is named by every program",
    arguments: ["chat", "perplexity", "tokenize", "bench"])
  func missingFolder(executable: String) throws {
    let text = SharedData.project("models/stories/heldout.txt")
    let arguments: [String: [String]] = [
      "chat": ["-p", "x"], "perplexity": ["-f", text], "tokenize": ["-p", "x"], "bench": [],
    ]
    let result = try runExecutable(
      executable, ["-m", "/nonexistent/folder"] + (arguments[executable] ?? []))
    expectRefusal(result, code: 4, "\(executable): ", "/nonexistent/folder")
  }

  @Test("a file instead of a folder is refused")
  func aFileInsteadOfAFolder() throws {
    let folder = try folder()
    expectRefusal(try chat("\(folder.path)/config.json"), code: 4, "config.json")
  }

  @Test("a folder without config.json is refused")
  func noConfiguration() throws {
    let folder = try folder()
    try remove("config.json", from: folder)
    expectRefusal(try chat(folder.path), code: 4, "config.json")
  }

  @Test("a folder without weights is refused")
  func noWeights() throws {
    let folder = try folder()
    try remove("model.safetensors", from: folder)
    expectRefusal(try chat(folder.path), code: 4, "model.safetensors")
  }

  @Test(
    "weights of other formats are refused by name",
    arguments: [
      ("pytorch_model.bin", "pickle"), ("consolidated.00.pth", "pickle"), ("model.gguf", "GGUF"),
    ])
  func foreignWeights(name: String, word: String) throws {
    let folder = try folder()
    try remove("model.safetensors", from: folder)
    try folder.write(name, [0x80, 2, 0x63])
    expectRefusal(try chat(folder.path), code: 3, name, word)
  }

  @Test("a folder without a tokenizer is refused")
  func noTokenizer() throws {
    let folder = try folder()
    try remove("tokenizer.json", from: folder)
    expectRefusal(try chat(folder.path), code: 4, "tokenizer")
  }

  // MARK: - Configuration

  @Test(
    "a configuration that is not supported is refused",
    arguments: [
      (#""model_type": "llama""#, #""model_type": "gpt2""#, "gpt2"),
      (#""hidden_act": "silu""#, #""hidden_act": "gelu""#, "hidden_act"),
      (#""head_dim": 4"#, #""head_dim": 5"#, "head_dim"),
      (#""num_attention_heads": 2"#, #""num_attention_heads": 3"#, "num_key_value_heads"),
      (#""hidden_size": 8"#, #""hidden_size": 0"#, "hidden_size"),
      (#""hidden_size": 8"#, #""hidden_size": 99999999999999999999"#, "hidden_size"),
      (
        #""rope_theta": 10000.0"#, #""rope_scaling": {"rope_type": "longrope", "factor": 2}"#,
        "longrope"
      ),
      (
        #""hidden_act": "silu""#,
        #""hidden_act": "silu", "quantization_config": {"quant_method": "gptq"}"#, "gptq"
      ),
      (#""hidden_act": "silu","#, #""hidden_act": "silu""#, "config.json"),
      (#""vocab_size": 4096"#, #""vocab_size": 4095"#, "model.embed_tokens.weight"),
      (#""num_hidden_layers": 2"#, #""num_hidden_layers": 3"#, "model.layers.2."),
    ])
  func configuration(original: String, replacement: String, word: String) throws {
    let folder = try folder()
    let text = String(decoding: try folder.read("config.json"), as: UTF8.self)
    #expect(text.contains(original))
    try folder.write("config.json", text.replacingOccurrences(of: original, with: replacement))
    expectRefusal(try chat(folder.path), code: 3, word)
  }

  // MARK: - Weights

  @Test("truncated weights are refused", arguments: [1, 100, 5000])
  func truncatedWeights(missing: Int) throws {
    let folder = try folder()
    let bytes = try folder.read("model.safetensors")
    try folder.write("model.safetensors", Array(bytes.dropLast(missing)))
    expectRefusal(try chat(folder.path), code: 3, "model.safetensors")
  }

  @Test("a truncated shard is refused")
  func truncatedShard() throws {
    let folder = try folder()
    let names = TinyCheckpoint(
      Configuration(
        hiddenSize: 8, intermediateSize: 12, layerCount: 2, headCount: 2, vocabularySize: 4096,
        hasAttentionBias: true)
    ).tensors.keys
    let shard = "model-00001-of-00001.safetensors"
    let map = names.map { "\"\($0)\": \"\(shard)\"" }.joined(separator: ",")
    try folder.write("model.safetensors.index.json", "{\"weight_map\": {\(map)}}")
    let bytes = try folder.read("model.safetensors")
    try folder.write(shard, bytes)
    // A single file would be read instead of the shards.
    try remove("model.safetensors", from: folder)
    #expect(try chat(folder.path).exitCode == 0)
    try folder.write(shard, Array(bytes.dropLast(64)))
    expectRefusal(try chat(folder.path), code: 3, shard)
    try remove(shard, from: folder)
    expectRefusal(try chat(folder.path), code: 4, shard)
  }

  /// The refusals a to k of the format's table, and duplicate names, each as a file.
  static let malformedFiles: [(reason: String, bytes: [UInt8])] = [
    ("a: shorter than its length field", [1, 2, 3]),
    ("b: header beyond 100 MB", [0, 0, 0, 0, 1, 0, 0, 0] + [UInt8](repeating: 32, count: 64)),
    ("c: header longer than the file", [200, 0, 0, 0, 0, 0, 0, 0] + Array("{}".utf8)),
    ("d: header not UTF-8", [2, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFE]),
    ("e: header not JSON", safeTensorsBytes(header: "{", dataBytes: 0)),
    ("e: unknown type", oneTensor("X9", "[1]", "[0,4]", dataBytes: 4)),
    ("f: end before begin", oneTensor("F32", "[1]", "[4,0]", dataBytes: 4)),
    ("g: hole in front", oneTensor("F32", "[1]", "[4,8]", dataBytes: 8)),
    ("h: overflow", oneTensor("F32", "[9223372036854775807,4]", "[0,4]", dataBytes: 4)),
    ("i: size and shape disagree", oneTensor("F32", "[2]", "[0,4]", dataBytes: 4)),
    ("j: trailing bytes", oneTensor("F32", "[1]", "[0,4]", dataBytes: 5)),
    ("k: half a byte", oneTensor("F4", "[1]", "[0,1]", dataBytes: 1)),
    (
      "two tensors of one name",
      safeTensorsBytes(
        header: #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"#
          + #""a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#, dataBytes: 2)
    ),
  ]

  private static func oneTensor(
    _ type: String, _ shape: String, _ offsets: String, dataBytes: Int
  ) -> [UInt8] {
    safeTensorsBytes(
      header: #"{"a":{"dtype":"\#(type)","shape":\#(shape),"data_offsets":\#(offsets)}}"#,
      dataBytes: dataBytes)
  }

  @Test("malformed files of weights are refused", arguments: malformedFiles.indices)
  func malformedWeights(index: Int) throws {
    let folder = try folder()
    try folder.write("model.safetensors", Self.malformedFiles[index].bytes)
    let result = try chat(folder.path)
    expectRefusal(result, code: 3, "model.safetensors")
    // It is the file that is refused, not what the model misses in it.
    #expect(!result.stderr.contains("embed_tokens"), "\(Self.malformedFiles[index].reason)")
  }

  @Test("an empty file of weights is refused")
  func emptyWeights() throws {
    let folder = try folder()
    try folder.write("model.safetensors", [UInt8]())
    expectRefusal(try chat(folder.path), code: 3, "model.safetensors")
  }

  @Test("a missing tensor is named")
  func missingTensor() throws {
    let folder = try folder { $0.tensors["model.layers.1.mlp.up_proj.weight"] = nil }
    expectRefusal(try chat(folder.path), code: 3, "model.layers.1.mlp.up_proj.weight")
  }

  @Test(
    "weights that are not numbers are named",
    arguments: [
      "model.embed_tokens.weight", "model.layers.0.input_layernorm.weight",
      "model.layers.0.post_attention_layernorm.weight", "model.norm.weight",
      "model.layers.1.self_attn.q_proj.weight", "model.layers.1.self_attn.k_proj.weight",
      "model.layers.0.self_attn.v_proj.weight", "model.layers.0.self_attn.o_proj.weight",
      "model.layers.0.self_attn.q_proj.bias", "model.layers.0.mlp.gate_proj.weight",
      "model.layers.1.mlp.up_proj.weight", "model.layers.0.mlp.down_proj.weight", "lm_head.weight",
    ])
  func weightsThatAreNotNumbers(tensor: String) throws {
    let folder = try folder { checkpoint in
      // All of the embedding, because only the rows of the prompt's tokens are read.
      guard var damaged = checkpoint.tensors[tensor] else { return }
      let places = tensor.contains("embed") ? damaged.values.indices : 5..<6
      for place in places { damaged.values[place] = .nan }
      checkpoint.tensors[tensor] = damaged
    }
    expectRefusal(try chat(folder.path), code: 5, tensor)
  }

  @Test("escape sequences in a name do not reach the terminal")
  func hostileNamesDoNotReachTheTerminal() throws {
    let folder = try folder()
    let text = String(decoding: try folder.read("config.json"), as: UTF8.self)
    try folder.write(
      "config.json", text.replacingOccurrences(of: "\"llama\"", with: "\"a\\u001b]52;c;x\\u0007\""))
    let result = try chat(folder.path)
    expectRefusal(result, code: 3)
    #expect(!result.errorBytes.contains(0x1B))
  }

  @Test("with --json a refusal is a JSON document")
  func refusalsAsJSON() throws {
    let result = try runExecutable("chat", ["-m", "/nonexistent", "-p", "x", "--json"])
    #expect(result.exitCode == 4)
    let object = try JSONSerialization.jsonObject(with: result.outputBytes) as? [String: Any]
    let error = try #require(object?["error"] as? [String: Any])
    #expect(error["code"] as? Int == 4)
    #expect((error["message"] as? String)?.contains("/nonexistent") == true)
  }
}
