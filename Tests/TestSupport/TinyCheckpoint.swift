package import DuetRuntime
import DuetSystem
import Foundation

/// A checkpoint of a few small random matrices, to run, to compare and to damage.
package struct TinyCheckpoint {
  /// The configuration; change it before `write` to make the files disagree with it.
  package var configuration: Configuration
  /// The shape and the values of each tensor, by its name; the values are stored as F32.
  package var tensors: [String: (shape: [Int], values: [Float])] = [:]

  /// Random matrices for `configuration`, with the names of Hugging Face checkpoints.
  package init(_ configuration: Configuration, seed: UInt64 = 1) {
    self.configuration = configuration
    var generator = RandomGenerator(seed: seed)
    func add(_ name: String, _ shape: [Int], around center: Float = 0, _ width: Float) {
      let count = shape.reduce(1, *)
      let values = (0..<count).map { _ in center + (Float(generator.nextUnit()) * 2 - 1) * width }
      tensors[name] = (shape, values)
    }
    // These widths keep activations near 1 in all layers, so that errors show.
    func addLinear(_ name: String, _ outputSize: Int, _ inputSize: Int, bias: Bool) {
      add("\(name).weight", [outputSize, inputSize], (3 / Float(inputSize)).squareRoot())
      if bias { add("\(name).bias", [outputSize], 0.5) }
    }
    let hidden = configuration.hiddenSize
    add("model.embed_tokens.weight", [configuration.vocabularySize, hidden], 1)
    for layer in 0..<configuration.layerCount {
      let prefix = "model.layers.\(layer)"
      let attentionBias = configuration.hasAttentionBias
      let feedForwardBias = configuration.hasFeedForwardBias
      add("\(prefix).input_layernorm.weight", [hidden], around: 1, 0.2)
      addLinear(
        "\(prefix).self_attn.q_proj", configuration.queryWidth, hidden, bias: attentionBias)
      addLinear(
        "\(prefix).self_attn.k_proj", configuration.keyValueWidth, hidden, bias: attentionBias)
      addLinear(
        "\(prefix).self_attn.v_proj", configuration.keyValueWidth, hidden, bias: attentionBias)
      addLinear(
        "\(prefix).self_attn.o_proj", hidden, configuration.queryWidth,
        bias: configuration.hasAttentionOutputBias)
      add("\(prefix).post_attention_layernorm.weight", [hidden], around: 1, 0.2)
      let intermediate = configuration.intermediateSize
      addLinear("\(prefix).mlp.gate_proj", intermediate, hidden, bias: feedForwardBias)
      addLinear("\(prefix).mlp.up_proj", intermediate, hidden, bias: feedForwardBias)
      addLinear("\(prefix).mlp.down_proj", hidden, intermediate, bias: feedForwardBias)
    }
    add("model.norm.weight", [hidden], around: 1, 0.2)
    if !configuration.tiesEmbeddings {
      addLinear("lm_head", configuration.vocabularySize, hidden, bias: false)
    }
  }

  /// The checkpoint in memory, without files.
  package func inMemory() throws -> Checkpoint {
    Checkpoint(configuration: configuration, tensors: try storedTensors())
  }

  /// Writes config.json and model.safetensors into a folder.
  package func write(to folder: TemporaryFolder) throws {
    try folder.write("config.json", configurationText)
    try SafeTensorsWriter.write(try storedTensors(), to: folder.path + "/model.safetensors")
  }

  /// The tensors, as they are stored.
  func storedTensors() throws -> [StoredTensor] {
    try tensors.map { name, tensor in
      let bytes = tensor.values.flatMap { value in
        (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * UInt32($0))) }
      }
      return StoredTensor(
        name: name, elementType: .f32, shape: tensor.shape, file: try MappedFile(bytes),
        byteOffset: 0)
    }
  }

  /// The text of config.json for the configuration, without scaled rotary frequencies.
  package var configurationText: String {
    """
    {"model_type": "\(configuration.architecture.rawValue)",
     "hidden_size": \(configuration.hiddenSize),
     "intermediate_size": \(configuration.intermediateSize),
     "num_hidden_layers": \(configuration.layerCount),
     "num_attention_heads": \(configuration.headCount),
     "num_key_value_heads": \(configuration.keyValueHeadCount),
     "head_dim": \(configuration.headSize), "vocab_size": \(configuration.vocabularySize),
     "max_position_embeddings": \(configuration.contextLength),
     "rms_norm_eps": \(configuration.normEpsilon), "rope_theta": \(configuration.rotaryBase),
     "attention_bias": \(configuration.hasAttentionBias),
     "mlp_bias": \(configuration.hasFeedForwardBias),
     "sliding_window": \(configuration.slidingWindow.map(String.init) ?? "null"),
     "tie_word_embeddings": \(configuration.tiesEmbeddings), "hidden_act": "silu",
     "bos_token_id": 4091, "eos_token_id": [4092, 4095]}
    """
  }
}
