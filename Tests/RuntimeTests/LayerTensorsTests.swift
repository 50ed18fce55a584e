import DuetRuntime
import DuetSystem
import TestSupport
import Testing

/// The table of a layer's tensors, and the refusal of tensors that are not in it.
@Suite("Tensors of a layer")
struct LayerTensorsTests {
  /// The name of a tensor of a decoder layer without the number of the layer, or nil.
  private func nameInLayer(_ name: String) -> String? {
    let parts = name.split(separator: ".", maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count == 4, parts[..<2] == ["model", "layers"] else { return nil }
    return String(parts[3])
  }

  /// Every tensor of a dense checkpoint's layers is a row of the table, of the size that it says.
  private func expectRows(_ checkpoint: Checkpoint) throws {
    let configuration = checkpoint.configuration
    var sizes: [String: [Int]] = [:]
    for norm in LayerTensors.norms { sizes[norm.name] = [configuration.hiddenSize] }
    for row in LayerTensors.matrices {
      let rows = row.outputSize(configuration)
      sizes["\(row.name).weight"] = [rows, row.inputSize(configuration)]
      if row.hasBias(configuration) { sizes["\(row.name).bias"] = [rows] }
    }
    for index in 0..<configuration.layerCount {
      let prefix = LayerTensors.prefix(layer: index)
      let stored = checkpoint.names.filter { $0.hasPrefix(prefix) }
      #expect(stored.sorted() == sizes.keys.map { prefix + $0 }.sorted())
      for name in stored {
        let size = nameInLayer(name).flatMap { sizes[$0] }
        #expect(try checkpoint.tensor(named: name)?.shape == size, "\(name)")
      }
    }
    #expect(try Model(checkpoint).unusedTensorNames == [])
  }

  @Test(
    "golden checkpoints have rows of the table only",
    .enabled(if: SharedData.path("golden/checkpoints") != nil, "../shared is absent"),
    arguments: GoldenCheckpointTests.names)
  func golden(name: String) throws {
    let folder = try #require(SharedData.path("golden/checkpoints/\(name)"))
    try expectRows(Checkpoint(contentsOf: folder))
  }

  @Test("models/stories has rows of the table only")
  func stories() throws {
    try expectRows(Checkpoint(contentsOf: SharedData.project("models/stories")))
  }

  @Test("biases are rows of the table", arguments: [true, false], [true, false])
  func biases(attention: Bool, feedForward: Bool) throws {
    let configuration = ModelTests.tiny {
      $0.hasAttentionBias = attention
      $0.hasFeedForwardBias = feedForward
    }
    try expectRows(TinyCheckpoint(configuration).inMemory())
  }

  @Test("an unknown tensor of a layer is refused, whatever it is")
  func unknown() throws {
    for name in [
      "input_layernorm.bias", "self_attn.q_proj.lora_A.weight", "self_attn.q_proj.codes",
      "self_attn.rotary_emb.inv_freq.weight", "mlp.experts.0.up_proj.weight", "weight", "",
      "q_proj.weight", "self_attn.sinks", "post_feedforward_layernorm.weight",
    ] {
      var checkpoint = TinyCheckpoint(ModelTests.tiny())
      let tensor = "model.layers.1.\(name)"
      checkpoint.tensors[tensor] = ([1], [1])
      let memory = try checkpoint.inMemory()
      #expect(throws: CheckpointError.unknownTensor(path: "memory", tensor: tensor)) {
        try Model(memory)
      }
    }
  }

  @Test("norms of queries and keys are refused by what they are")
  func headNorms() throws {
    for (name, meaning) in [("q_norm", "a norm of the queries"), ("k_norm", "a norm of the keys")] {
      var checkpoint = TinyCheckpoint(ModelTests.tiny())
      let tensor = "model.layers.0.self_attn.\(name).weight"
      checkpoint.tensors[tensor] = ([6], Array(repeating: 1, count: 6))
      let memory = try checkpoint.inMemory()
      let error = CheckpointError.unsupportedTensor(
        path: "memory", tensor: tensor, meaning: meaning)
      #expect(throws: error) { try Model(memory) }
      #expect(error.category == .refusedData)
      #expect(error.description.contains("memory: the tensor \"\(tensor)\" is \(meaning)"))
    }
  }

  @Test("the message of a refusal names the file that has the tensor")
  func file() throws {
    let folder = try TemporaryFolder()
    var checkpoint = TinyCheckpoint(ModelTests.tiny())
    checkpoint.tensors["model.layers.0.mlp.norm.weight"] = ([1], [1])
    try checkpoint.write(to: folder)
    let config = checkpoint.configurationText.replacing("4091", with: "1")
      .replacing("[4092, 4095]", with: "2")
    try folder.write("config.json", config)
    #expect(
      throws: CheckpointError.unknownTensor(
        path: "\(folder.path)/model.safetensors", tensor: "model.layers.0.mlp.norm.weight")
    ) { try Model(contentsOf: folder.path) }
  }

  @Test(
    "tensors outside the model's layers, and those that follow from config.json, are not refused")
  func unrefused() throws {
    var checkpoint = TinyCheckpoint(ModelTests.tiny())
    let unused = [
      "model.layers.0.mlp.up_proj.bias", "model.layers.00.mlp.norm.weight", "model.layers.1",
      "model.layers.2.mlp.norm.weight", "model.layers.x.mlp.norm.weight", "model.norm.bias",
    ]
    for name in unused + ["model.layers.1.self_attn.rotary_emb.inv_freq"] {
      checkpoint.tensors[name] = ([3], [1, 2, 3])
    }
    #expect(try Model(checkpoint.inMemory()).unusedTensorNames == unused)
  }

  @Test("compressed models of every form are accepted, and refused with one tensor more")
  func compressed() throws {
    for (index, model) in TinyCompressedModel.all.enumerated() {
      let folder = try TemporaryFolder()
      try model.write(to: folder.path)
      let checkpoint = try Checkpoint(contentsOf: folder.path)
      #expect(try Model(checkpoint).unusedTensorNames == [], "form \(index)")
      let tensors = try checkpoint.names.compactMap { try checkpoint.tensor(named: $0) }
      let tensor = "model.layers.0.self_attn.q_proj.zeros"
      let more = StoredTensor(
        name: tensor, elementType: .f32, shape: [1], file: try MappedFile([0, 0, 0, 0]),
        byteOffset: 0)
      let changed = Checkpoint(
        configuration: checkpoint.configuration, tensors: tensors + [more])
      #expect(
        throws: CheckpointError.unknownTensor(path: "memory", tensor: tensor), "form \(index)"
      ) { try Model(changed) }
    }
  }

  @Test("inputs, their norms and the matrices that scale them belong together")
  func inputs() {
    #expect(
      LinearInput.allCases.flatMap(\.matrices).map(\.name) == LayerTensors.matrices.map(\.name))
    #expect(LinearInput.allCases.map { $0.norm != nil } == [true, false, true, false])
    #expect(
      LinearInput.allCases.map { $0.scalingMatrix?.shortName } == [nil, "v_proj", nil, "up_proj"])
    for row in LayerTensors.matrices {
      #expect(row.isNamed(row.name(inLayer: 3)))
      #expect(LayerTensors.matrices.filter { $0.isNamed(row.name(inLayer: 3)) }.count == 1)
    }
  }
}
