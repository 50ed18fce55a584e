internal import DuetRuntime

/// The weight matrices of a decoder layer, by the input that they share.
struct LayerLinears {
  /// A matrix that is to be compressed.
  struct Linear {
    /// The name without ".weight".
    let name: String
    let outputSize: Int
    let inputSize: Int
  }

  /// The matrices that the plan compresses, in the order of the model.
  private let linears: [(input: LinearInput, linear: Linear)]

  init(_ configuration: Configuration, layer: Int, _ plan: CompressionPlan) {
    let hidden = configuration.hiddenSize
    let queries = configuration.headCount * configuration.headSize
    let keys = configuration.keyValueHeadCount * configuration.headSize
    let intermediate = configuration.intermediateSize
    let all: [(LinearInput, String, Int, Int)] = [
      (.attention, "self_attn.q_proj", queries, hidden),
      (.attention, "self_attn.k_proj", keys, hidden),
      (.attention, "self_attn.v_proj", keys, hidden),
      (.attentionOutput, "self_attn.o_proj", hidden, queries),
      (.feedForward, "mlp.gate_proj", intermediate, hidden),
      (.feedForward, "mlp.up_proj", intermediate, hidden),
      (.down, "mlp.down_proj", hidden, intermediate),
    ]
    linears = all.compactMap { input, name, outputSize, inputSize in
      let full = "model.layers.\(layer).\(name)"
      if plan.keeps(full) { return nil }
      return (input, Linear(name: full, outputSize: outputSize, inputSize: inputSize))
    }
  }

  /// All of them, in order.
  var all: [Linear] { linears.map(\.linear) }

  /// Those that multiply an input.
  func sharing(_ input: LinearInput) -> [Linear] {
    linears.filter { $0.input == input }.map(\.linear)
  }
}
