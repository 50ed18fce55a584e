import DuetRuntime
import TestSupport
import Testing

@Suite("Model")
struct ModelTests {
  /// Shapes and switches that the golden checkpoints do not have.
  static let configurations: [(name: String, configuration: Configuration)] = [
    ("plain", tiny()),
    (
      "biases",
      tiny {
        $0.hasAttentionBias = true; $0.hasFeedForwardBias = true
      }
    ),
    (
      "eight queries per key",
      tiny {
        $0.headCount = 8; $0.keyValueHeadCount = 1; $0.headSize = 6
      }
    ),
    (
      "twenty queries per key",
      tiny {
        $0.headCount = 20; $0.keyValueHeadCount = 1; $0.headSize = 2
      }
    ),
    ("wide heads", tiny { $0.headSize = 34 }),
    ("linear scaling", tiny { $0.rotaryScaling = .linear(factor: 4) }),
    (
      "biases of Qwen2",
      tiny {
        $0.architecture = .qwen2; $0.hasAttentionBias = true; $0.tiesEmbeddings = true
      }
    ),
    (
      // No frequency changes with a factor of 1.
      "YaRN's factor",
      tiny {
        $0.rotaryScaling = .yarn(
          factor: 1, attentionFactor: 1.25, fastTurns: 32, slowTurns: 1, originalContextLength: 128,
          roundsBounds: true)
      }
    ),
    (
      "prime sizes",
      tiny {
        $0.hiddenSize = 127; $0.intermediateSize = 257; $0.vocabularySize = 1021
      }
    ),
    (
      "window of one",
      tiny {
        $0.architecture = .mistral; $0.slidingWindow = 1
      }
    ),
    (
      "window of five",
      tiny {
        $0.architecture = .mistral; $0.slidingWindow = 5
      }
    ),
    (
      "tied with biases",
      tiny {
        $0.tiesEmbeddings = true; $0.hasAttentionBias = true
      }
    ),
    (
      "odd sizes",
      tiny {
        $0.hiddenSize = 23; $0.intermediateSize = 37; $0.vocabularySize = 41
      }
    ),
    (
      "one layer",
      tiny {
        $0.layerCount = 1; $0.vocabularySize = 2
      }
    ),
  ]

  static func tiny(_ change: (inout Configuration) -> Void = { _ in }) -> Configuration {
    var configuration = Configuration(
      hiddenSize: 24, intermediateSize: 40, layerCount: 2, headCount: 4, keyValueHeadCount: 2,
      headSize: 6, vocabularySize: 50, contextLength: 128)
    change(&configuration)
    return configuration
  }

  @Test(
    "logits equal those of the forward pass in Double", arguments: configurations.indices,
    [1, 3, 64])
  func equalsTheForwardPassInDouble(index: Int, batchSize: Int) throws {
    let (name, configuration) = Self.configurations[index]
    let checkpoint = TinyCheckpoint(configuration, seed: UInt64(index))
    let tokens = (0..<37).map { ($0 * 7 + 3) % configuration.vocabularySize }
    let expected = ForwardPassOracle(checkpoint: checkpoint).logits(tokens)
    let model = try Model(checkpoint.inMemory())
    for kernelSet in KernelSet.supported {
      var session = try Session(
        model,
        options: SessionOptions(
          threadCount: 2, cacheType: .f32, batchSize: batchSize, kernelSet: kernelSet))
      var largest = 0.0
      try session.evaluate(tokens) { position, logits in
        for id in logits.indices {
          largest = max(largest, abs(Double(logits[id]) - expected[position][id]))
        }
      }
      // Activations and logits are of size 1 to 5. A sum of 40 products of such numbers is off by at
      // most 40 * 2^-24 * 40 = 1e-4, typically by its root; eight such sums follow each other.
      #expect(largest < 1e-4, "\(name), \(kernelSet.name): \(largest)")
    }
  }

  @Test("a tensor of another shape is refused")
  func refusesATensorOfAnotherShape() throws {
    var checkpoint = TinyCheckpoint(Self.tiny())
    checkpoint.tensors["model.layers.1.mlp.up_proj.weight"] = (
      [24, 40], Array(repeating: 0, count: 960)
    )
    let memory = try checkpoint.inMemory()
    #expect(
      throws: CheckpointError.shapeMismatch(
        path: "memory", tensor: "model.layers.1.mlp.up_proj.weight", expected: [40, 24],
        actual: [24, 40])
    ) { try Model(memory) }
  }

  @Test("tensors that are not used are named")
  func namesTensorsThatItDoesNotUse() throws {
    var checkpoint = TinyCheckpoint(
      Self.tiny {
        $0.hasAttentionBias = true
        $0.hasFeedForwardBias = true
      })
    #expect(try Model(checkpoint.inMemory()).unusedTensorNames == [])
    checkpoint.tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = ([3], [1, 2, 3])
    checkpoint.tensors["model.layers.2.input_layernorm.weight"] = ([1], [1])
    checkpoint.tensors["vision.weight"] = ([1], [1])
    checkpoint.configuration.hasFeedForwardBias = false
    #expect(
      try Model(checkpoint.inMemory()).unusedTensorNames == [
        "model.layers.0.mlp.down_proj.bias", "model.layers.0.mlp.gate_proj.bias",
        "model.layers.0.mlp.up_proj.bias", "model.layers.1.mlp.down_proj.bias",
        "model.layers.1.mlp.gate_proj.bias", "model.layers.1.mlp.up_proj.bias",
        "model.layers.2.input_layernorm.weight", "vision.weight",
      ])
  }

  @Test("a missing tensor is refused")
  func refusesAMissingTensor() throws {
    var checkpoint = TinyCheckpoint(Self.tiny())
    checkpoint.tensors["lm_head.weight"] = nil
    let memory = try checkpoint.inMemory()
    #expect(throws: CheckpointError.tensorNotFound(path: "memory", tensor: "lm_head.weight")) {
      try Model(memory)
    }
  }

  @Test("tied weights may be stored as the head")
  func tiedWeightsMayBeStoredAsTheHead() throws {
    var checkpoint = TinyCheckpoint(Self.tiny { $0.tiesEmbeddings = true })
    let expected = ForwardPassOracle(checkpoint: checkpoint).logits([1, 2, 3])
    checkpoint.tensors["lm_head.weight"] = checkpoint.tensors.removeValue(
      forKey: "model.embed_tokens.weight")
    var session = try Session(
      Model(checkpoint.inMemory()), options: SessionOptions(cacheType: .f32))
    try session.append([1, 2, 3])
    for id in session.logits.indices {
      #expect(abs(Double(session.logits[id]) - expected[2][id]) < 1e-4)
    }
  }

  @Test(
    "a matrix with a weight that is not finite is named",
    arguments: [
      "model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight",
      "model.layers.0.self_attn.k_proj.weight", "model.layers.1.self_attn.v_proj.weight",
      "model.layers.1.self_attn.o_proj.weight", "model.layers.0.mlp.gate_proj.weight",
      "model.layers.1.mlp.up_proj.weight", "model.layers.1.mlp.down_proj.weight", "lm_head.weight",
    ])
  func namesTheWeightThatIsNotFinite(tensor: String) throws {
    for bad in [Float.nan, .infinity] {
      var checkpoint = TinyCheckpoint(Self.tiny())
      checkpoint.tensors[tensor]?.values[7] = bad
      var session = try Session(Model(checkpoint.inMemory()))
      let error = #expect(throws: GenerationError.self) { try session.append([0, 1, 2]) }
      if case .nonFinite(_, let name) = error {
        #expect(name == tensor)
      } else {
        Issue.record("\(tensor) with \(bad): \(String(describing: error))")
      }
    }
  }

  @Test(
    "norms and biases that are not finite are refused",
    arguments: [
      "model.layers.1.input_layernorm.weight", "model.layers.0.post_attention_layernorm.weight",
      "model.norm.weight", "model.layers.0.self_attn.k_proj.bias",
      "model.layers.1.mlp.down_proj.bias",
    ])
  func refusesSmallTensorsThatAreNotFinite(tensor: String) throws {
    var checkpoint = TinyCheckpoint(
      Self.tiny {
        $0.hasAttentionBias = true; $0.hasFeedForwardBias = true
      })
    checkpoint.tensors[tensor]?.values[3] = .infinity
    let memory = try checkpoint.inMemory()
    #expect(throws: CheckpointError.nonFiniteValues(path: "memory", tensor: tensor)) {
      try Model(memory)
    }
  }
}
