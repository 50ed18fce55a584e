import DuetRuntime
import DuetSystem
import Foundation
import TestSupport
import Testing

@Suite("Checkpoint")
struct CheckpointTests {
  private static let configuration =
    #"{"model_type":"llama","hidden_size":4,"num_attention_heads":2,"intermediate_size":8}"#

  /// A file with one tensor of two bytes for each name.
  private func shard(_ names: [String]) -> [UInt8] {
    let entries = names.enumerated().map { index, name in
      #""\#(name)":{"dtype":"BF16","shape":[1],"data_offsets":[\#(2 * index),\#(2 * index + 2)]}"#
    }
    return safeTensorsBytes(
      header: "{\(entries.joined(separator: ","))}", dataBytes: 2 * names.count)
  }

  private func folder(_ files: [String: [UInt8]] = [:]) throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    try folder.write("config.json", Self.configuration)
    for (name, bytes) in files { try folder.write(name, bytes) }
    return folder
  }

  /// A folder of shards with an index.
  private func folder(index: String, _ shards: [String: [String]]) throws -> TemporaryFolder {
    let folder = try folder(shards.mapValues(shard))
    try folder.write("model.safetensors.index.json", index)
    return folder
  }

  private func refusal(_ path: String) -> CheckpointError? {
    do throws(CheckpointError) {
      _ = try Checkpoint(contentsOf: path)
      return nil
    } catch {
      return error
    }
  }

  // MARK: - Opening

  @Test("a single file is opened, mapped or read", arguments: [Checkpoint.Loading.mapped, .read])
  func opensASingleFile(loading: Checkpoint.Loading) throws {
    let folder = try folder(["model.safetensors": shard(["b", "a"])])
    let checkpoint = try Checkpoint(contentsOf: folder.path, loading: loading)
    #expect(checkpoint.folder == folder.path)
    #expect(checkpoint.configuration.hiddenSize == 4)
    #expect(checkpoint.names == ["a", "b"])
    #expect(checkpoint.byteCount == 4)
    #expect(checkpoint.contains("a"))
    #expect(!checkpoint.contains("c"))
    let tensor = try checkpoint.tensor(named: "a", shape: [1])
    #expect(tensor.name == "a")
    #expect(tensor.elementType == .bf16)
    #expect(tensor.elementCount == 1)
    #expect(tensor.bytes.byteCount == 2)
    #expect(unsafe tensor.bytes.unsafeLoad(as: UInt16.self) == 0x0302)
    #expect(try checkpoint.tensor(named: "c") == nil)
    #expect(try checkpoint.tensor(named: "b")?.shape == [1])
  }

  @Test("a single file is preferred to an index, as in transformers")
  func prefersTheSingleFile() throws {
    let folder = try folder(
      index: #"{"weight_map":{"a":"gone.safetensors"}}"#, ["model.safetensors": ["single"]])
    #expect(try Checkpoint(contentsOf: folder.path).names == ["single"])
  }

  @Test("shards are found by the index")
  func readsTheIndex() throws {
    let folder = try folder(
      index:
        #"{"metadata":{"total_size":999},"weight_map":{"a":"2.safetensors","b":"1.safetensors"}}"#,
      ["1.safetensors": ["b"], "2.safetensors": ["a"], "other.safetensors": ["c"]])
    let checkpoint = try Checkpoint(contentsOf: folder.path)
    #expect(checkpoint.names == ["a", "b"])
    #expect(try checkpoint.tensor(named: "a", shape: [1]).file.path.hasSuffix("/2.safetensors"))
    #expect(try checkpoint.tensor(named: "b", shape: [1]).file.path.hasSuffix("/1.safetensors"))
  }

  @Test("tensors that are not aligned are copied")
  func copiesTensorsThatAreNotAligned() throws {
    // The data start at an odd byte, as old writers left it.
    let header = #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#
    let padding = String(repeating: " ", count: (8 + header.utf8.count) % 2 == 0 ? 1 : 0)
    let folder = try folder([
      "model.safetensors": safeTensorsBytes(header: header + padding, dataBytes: 8)
    ])
    let tensor = try Checkpoint(contentsOf: folder.path).tensor(named: "a", shape: [2])
    #expect(tensor.byteOffset % 4 == 0)
    #expect(tensor.file.path == "\(folder.path)/model.safetensors")
    #expect(tensor.file.copyBytes(0..<8) == [0, 1, 2, 3, 4, 5, 6, 7])
  }

  @Test("tensors that are not used are listed")
  func listsTensorsThatAreNotUsed() throws {
    let names = ["model.layers.0.self_attn.rotary_emb.inv_freq", "a", "\u{e9}", "b", "inv_freq"]
    let folder = try folder(["model.safetensors": shard(names)])
    let checkpoint = try Checkpoint(contentsOf: folder.path)
    #expect(checkpoint.names(besides: ["a", "e\u{301}", "z"]) == ["b", "inv_freq", "\u{e9}"])
  }

  @Test("tensors are held in memory")
  func holdsTensorsInMemory() throws {
    let file = try MappedFile(anonymousByteCount: 24) { _ in }
    let configuration = try #require(Configuration.preset(named: "llama-3-8b"))
    let tensors = [
      StoredTensor(name: "b", elementType: .f32, shape: [2, 1], file: file, byteOffset: 16),
      StoredTensor(name: "a", elementType: .f16, shape: [3], file: file, byteOffset: 2),
    ]
    let checkpoint = Checkpoint(configuration: configuration, tensors: tensors)
    #expect(checkpoint.configuration == configuration)
    #expect(checkpoint.names == ["a", "b"])
    #expect(checkpoint.byteCount == 14)
    #expect(try checkpoint.tensor(named: "b", shape: [2, 1]).byteOffset == 16)
    #expect(try checkpoint.tensor(named: "a", shape: [3]).byteCount == 6)
  }

  // MARK: - Tensors that do not fit

  @Test("tensors of another shape or type are refused")
  func refusesTensorsThatDoNotFit() throws {
    let header = #"{"a":{"dtype":"I8","shape":[2,3],"data_offsets":[0,6]}}"#
    let folder = try folder([
      "model.safetensors": safeTensorsBytes(header: header, dataBytes: 6)
    ])
    let path = "\(folder.path)/model.safetensors"
    let checkpoint = try Checkpoint(contentsOf: folder.path)
    #expect(throws: CheckpointError.tensorNotFound(path: folder.path, tensor: "b")) {
      try checkpoint.tensor(named: "b", shape: [1])
    }
    let shape = CheckpointError.shapeMismatch(
      path: path, tensor: "a", expected: [3, 2], actual: [2, 3])
    #expect(throws: shape) {
      try checkpoint.tensor(named: "a", shape: [3, 2], elementTypes: [.i8])
    }
    #expect(
      shape.description
        == "\(path): the tensor \"a\" has the shape [2, 3], but config.json asks for [3, 2]")
    let type = CheckpointError.elementTypeMismatch(
      path: path, tensor: "a", expected: [.f32, .f16, .bf16], actual: .i8)
    #expect(throws: type) { try checkpoint.tensor(named: "a", shape: [2, 3]) }
    #expect(
      type.description
        == "\(path): the tensor \"a\" has the type I8, expected is F32, F16, BF16")
  }

  // MARK: - Folders that are none

  @Test("what is no checkpoint is refused with what is missing")
  func refusesWhatIsNoCheckpoint() throws {
    let folder = try TemporaryFolder()
    let missing = "\(folder.path)/missing"
    #expect(refusal(missing) == .folderNotFound(path: missing))
    #expect(refusal(folder.path) == .noConfiguration(folder: folder.path))
    let single = try folder.write("model.safetensors", shard(["a"]))
    #expect(refusal(single) == .notAFolder(path: single))
    #expect(refusal(folder.path) == .noConfiguration(folder: folder.path))
    let empty = try self.folder()
    #expect(refusal(empty.path) == .noWeights(folder: empty.path))
    for error in [
      CheckpointError.folderNotFound(path: "a"), .notAFolder(path: "a"),
      .noConfiguration(folder: "a"), .noWeights(folder: "a"),
    ] { #expect(error.category == .inputOutput) }
  }

  @Test("a folder with a shard but no index has no weights")
  func refusesFoldersWithoutWeights() throws {
    let folder = try folder(["model-00001-of-00002.safetensors": shard(["a"])])
    #expect(refusal(folder.path) == .noWeights(folder: folder.path))
  }

  @Test(
    "formats of other programs are named",
    arguments: [
      ("pytorch_model.bin", .pickle), ("pytorch_model-00001-of-00002.bin", .pickle),
      ("model.pt", .pickle), ("consolidated.00.pth", .pickle), ("model.Q4_K_M.gguf", .gguf),
      ("consolidated.safetensors", .consolidated), ("adapter_model.safetensors", .adapter),
      ("adapter_model.bin", .adapter),
    ] as [(String, CheckpointError.ForeignFormat)])
  func namesForeignFormats(name: String, format: CheckpointError.ForeignFormat) throws {
    // With a configuration, without one, and given as the path itself.
    for folder in [try folder([name: [1]]), try TemporaryFolder()] {
      let path = try folder.write(name, [1])
      let error = CheckpointError.foreignFormat(path: path, format: format)
      #expect(refusal(folder.path) == error)
      #expect(refusal(path) == error)
      #expect(error.category == .refusedData)
    }
    // Beside safetensors they do not matter.
    let both = try folder([name: [1], "model.safetensors": shard(["a"])])
    #expect(refusal(both.path) == nil)
  }

  @Test("the message about pickles says how to convert them")
  func saysHowToConvertPickles() throws {
    let text = CheckpointError.foreignFormat(path: "a.bin", format: .pickle).description
    #expect(text.contains("save_pretrained"))
  }

  @Test("errors of weights and config.json are passed on")
  func passesOnOtherErrors() throws {
    let folder = try folder(["model.safetensors": [1, 2, 3]])
    #expect(
      refusal(folder.path)
        == .safeTensors(.noHeader(path: "\(folder.path)/model.safetensors", byteCount: 3)))
    try folder.write("config.json", "[]")
    #expect(
      refusal(folder.path) == .configuration(.notAnObject(path: "\(folder.path)/config.json")))
    try FileManager.default.removeItem(atPath: "\(folder.path)/config.json")
    try FileManager.default.createDirectory(
      atPath: "\(folder.path)/config.json", withIntermediateDirectories: false)
    #expect(
      refusal(folder.path)
        == .configuration(.file(.isFolder(path: "\(folder.path)/config.json"))))
  }

  // MARK: - Index, spec section 1.7

  @Test(
    "names of shards that lead out of the folder are refused",
    arguments: [
      "../a.safetensors", "/etc/passwd", "sub/a.safetensors", "..", ".", "", "a\\\\b", "a\\u0000",
      "a..b",
    ])
  func refusesShardNamesThatAreNotPlain(name: String) throws {
    let folder = try folder(index: #"{"weight_map":{"a":"\#(name)"}}"#, [:])
    guard case .shardNameNotPlain = refusal(folder.path) else {
      Issue.record("\(name) gave \(String(describing: refusal(folder.path)))")
      return
    }
  }

  @Test(
    "malformed indexes are refused",
    arguments: [
      "[]", "{}", #"{"weight_map":[]}"#, #"{"weight_map":null}"#, #"{"weight_map":{"a":1}}"#,
      #"{"weight_map":{"a":null}}"#,
    ])
  func refusesMalformedIndexes(index: String) throws {
    let folder = try folder(index: index, ["a": ["a"]])
    guard case .malformedIndex = refusal(folder.path) else {
      Issue.record("\(index) gave \(String(describing: refusal(folder.path)))")
      return
    }
  }

  @Test(
    "indexes that are not JSON are refused",
    arguments: ["", "{", #"{"weight_map":{"a":"a","a":"a"}}"#])
  func refusesIndexesThatAreNotJSON(index: String) throws {
    let folder = try folder(index: index, ["a": ["a"]])
    guard case .indexNotJSON = refusal(folder.path) else {
      Issue.record("\(index) gave \(String(describing: refusal(folder.path)))")
      return
    }
  }

  @Test("missing shards are named")
  func refusesMissingShards() throws {
    let folder = try folder(
      index: #"{"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}"#,
      ["1.safetensors": ["a"]])
    let index = "\(folder.path)/model.safetensors.index.json"
    let error = CheckpointError.shardNotFound(path: index, shard: "2.safetensors")
    #expect(refusal(folder.path) == error)
    #expect(error.category == .inputOutput)
  }

  @Test("tensors that are not in their shard are refused")
  func refusesTensorsThatAreNotInTheirShard() throws {
    let folder = try folder(
      index: #"{"weight_map":{"a":"1.safetensors","b":"1.safetensors","c":"2.safetensors"}}"#,
      ["1.safetensors": ["a"], "2.safetensors": ["b", "c"]])
    #expect(
      refusal(folder.path)
        == .tensorNotInShard(
          path: "\(folder.path)/model.safetensors.index.json", tensor: "b", shard: "1.safetensors"))
  }

  @Test("tensors that are not listed are refused")
  func refusesTensorsThatAreNotListed() throws {
    for extra in ["0", "b", "z"] {
      let folder = try folder(
        index: #"{"weight_map":{"a":"1.safetensors","c":"2.safetensors"}}"#,
        ["1.safetensors": ["a"], "2.safetensors": ["c", extra]])
      #expect(
        refusal(folder.path)
          == .tensorNotInIndex(
            path: "\(folder.path)/model.safetensors.index.json", tensor: extra,
            shard: "2.safetensors"))
    }
  }

  @Test("tensors in two shards are refused")
  func refusesTensorsInTwoShards() throws {
    let folder = try folder(
      index: #"{"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}"#,
      ["1.safetensors": ["a"], "2.safetensors": ["b", "a"]])
    #expect(
      refusal(folder.path)
        == .tensorInTwoShards(
          path: "\(folder.path)/model.safetensors.index.json", tensor: "a",
          shard: "1.safetensors", otherShard: "2.safetensors"))
  }

  @Test("truncated shards are refused")
  func refusesTruncatedShards() throws {
    let folder = try folder(index: #"{"weight_map":{"a":"1.safetensors"}}"#, [:])
    try folder.write("1.safetensors", Array(shard(["a"]).dropLast()))
    guard case .safeTensors(.fileSizeMismatch) = refusal(folder.path) else {
      Issue.record("gave \(String(describing: refusal(folder.path)))")
      return
    }
  }

  // MARK: - Real checkpoints

  @Test(
    "golden checkpoints are opened",
    .enabled(if: SharedData.path("golden/checkpoints") != nil),
    arguments: [
      ("llama2-mha-f32", 30, .f32), ("llama3-gqa-bf16", 30, .bf16), ("llama-tied-f16", 29, .f16),
      ("mistral-sliding-bf16", 30, .bf16),
    ] as [(String, Int, ElementType)])
  func opensGoldenCheckpoints(name: String, tensorCount: Int, type: ElementType) throws {
    let folder = try #require(SharedData.path("golden/checkpoints/\(name)"))
    let checkpoint = try Checkpoint(contentsOf: folder)
    let configuration = checkpoint.configuration
    #expect(checkpoint.names.count == tensorCount)
    #expect(checkpoint.contains("lm_head.weight") == !configuration.tiesEmbeddings)
    let query = try checkpoint.tensor(
      named: "model.layers.2.self_attn.q_proj.weight",
      shape: [configuration.queryWidth, configuration.hiddenSize])
    #expect(query.elementType == type)
    let value = try checkpoint.tensor(
      named: "model.layers.0.self_attn.v_proj.weight",
      shape: [configuration.keyValueWidth, configuration.hiddenSize])
    #expect(value.byteCount == value.elementCount * type.byteCount)
    #expect(configuration.slidingWindow == (name.hasPrefix("mistral") ? 24 : nil))
    #expect(configuration.endOfSequence == [2])
    _ = try GenerationConfiguration(folder: folder)
  }

  @Test("models/stories is opened, and all its tensors are listed")
  func opensTheEmbeddedModel() throws {
    let checkpoint = try Checkpoint(contentsOf: SharedData.project("models/stories"))
    #expect(checkpoint.configuration.endOfSequence == [4092, 4095])
    #expect(checkpoint.configuration.layerCount == 6)
    #expect(checkpoint.names.count == 6 * 9 + 3)
    #expect(checkpoint.names(besides: checkpoint.names) == [])
  }

  @Test(
    "shared models are opened",
    .enabled(if: SharedData.path("models") != nil),
    arguments: ["stories", "stories-outliers", "stories260K", "TinyStories-656K"])
  func opensSharedModels(name: String) throws {
    let folder = try #require(SharedData.path("models/\(name)"))
    let checkpoint = try Checkpoint(contentsOf: folder)
    let configuration = checkpoint.configuration
    // Some tied checkpoints store the shared matrix under the name of the head only.
    let name = "model.embed_tokens.weight"
    let embedding = try checkpoint.tensor(
      named: checkpoint.contains(name) ? name : "lm_head.weight",
      shape: [configuration.vocabularySize, configuration.hiddenSize])
    #expect(embedding.byteCount > 0)
    #expect(try GenerationConfiguration(folder: folder).temperature ?? 1 > 0)
  }
}
