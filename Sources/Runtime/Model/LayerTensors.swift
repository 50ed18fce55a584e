/// The table of the tensors of a decoder layer, by their names in Hugging Face checkpoints.
///
/// A model with more tensors, or with other sizes, needs other rows here. `ForwardPass` computes with
/// the tensors.
package enum LayerTensors {
  /// The weight matrices, in the order in which the forward pass multiplies them.
  package static let matrices: [LayerMatrix] = [
    LayerMatrix(
      "self_attn.q_proj", .attention, outputSize: \.queryWidth, hasBias: \.hasAttentionBias),
    LayerMatrix(
      "self_attn.k_proj", .attention, outputSize: \.keyValueWidth, hasBias: \.hasAttentionBias),
    LayerMatrix(
      "self_attn.v_proj", .attention, outputSize: \.keyValueWidth, hasBias: \.hasAttentionBias,
      scaledInput: .attentionOutput),
    LayerMatrix(
      "self_attn.o_proj", .attentionOutput, outputSize: \.hiddenSize,
      hasBias: \.hasAttentionOutputBias),
    LayerMatrix(
      "mlp.gate_proj", .feedForward, outputSize: \.intermediateSize, hasBias: \.hasFeedForwardBias),
    LayerMatrix(
      "mlp.up_proj", .feedForward, outputSize: \.intermediateSize, hasBias: \.hasFeedForwardBias,
      scaledInput: .down),
    LayerMatrix("mlp.down_proj", .down, outputSize: \.hiddenSize, hasBias: \.hasFeedForwardBias),
  ]

  /// The gains of the norms, (hiddenSize) each, with the input that each norm computes.
  package static let norms: [LayerNorm] = [
    LayerNorm(name: "input_layernorm.weight", input: .attention),
    LayerNorm(name: "post_attention_layernorm.weight", input: .feedForward),
  ]

  /// Tensors that change the result and cannot be used yet.
  static let unsupported: [UnsupportedTensor] = [
    UnsupportedTensor(name: "self_attn.q_norm.weight", meaning: "a norm of the queries"),
    UnsupportedTensor(name: "self_attn.k_norm.weight", meaning: "a norm of the keys"),
  ]

  /// Tensors that follow from the configuration and are not read.
  static let ignored = ["self_attn.rotary_emb.inv_freq"]

  /// The prefix of the names of a layer's tensors, "model.layers.0." for the first layer.
  package static func prefix(layer: Int) -> String { "model.layers.\(layer)." }
}

/// A weight matrix of a decoder layer.
package struct LayerMatrix: Sendable {
  /// The name in the layer without ".weight": "self_attn.q_proj".
  package let name: String
  /// The input that it multiplies.
  package let input: LinearInput
  /// The input whose channels grow in proportion to the outputs of this matrix, or nil.
  ///
  /// Dividing a row of this matrix and of its bias by a number divides the channel of that input too.
  package let scaledInput: LinearInput?

  private let rowCount: any KeyPath<Configuration, Int> & Sendable
  private let biasFlag: any KeyPath<Configuration, Bool> & Sendable

  fileprivate init(
    _ name: String, _ input: LinearInput,
    outputSize: any KeyPath<Configuration, Int> & Sendable,
    hasBias: any KeyPath<Configuration, Bool> & Sendable, scaledInput: LinearInput? = nil
  ) {
    self.name = name
    self.input = input
    self.scaledInput = scaledInput
    rowCount = outputSize
    biasFlag = hasBias
  }

  /// The last part of the name: "q_proj".
  package var shortName: String { String(name.split(separator: ".").last ?? "") }

  /// The name in a checkpoint, without ".weight".
  package func name(inLayer layer: Int) -> String { LayerTensors.prefix(layer: layer) + name }

  /// Whether `other`, a name without ".weight", is the name of this matrix in some layer.
  package func isNamed(_ other: String) -> Bool {
    other.utf8.reversed().starts(with: ".\(name)".utf8.reversed())
  }

  /// The number of rows.
  package func outputSize(_ configuration: Configuration) -> Int {
    configuration[keyPath: rowCount]
  }

  /// The number of columns.
  package func inputSize(_ configuration: Configuration) -> Int { input.size(configuration) }

  /// Whether a bias is added to the outputs.
  package func hasBias(_ configuration: Configuration) -> Bool { configuration[keyPath: biasFlag] }
}

/// The gains of a norm in a decoder layer.
package struct LayerNorm: Sendable {
  /// The name in the layer: "input_layernorm.weight".
  package let name: String
  /// The input that the norm computes from the residual stream.
  package let input: LinearInput

  /// The name in a checkpoint.
  package func name(inLayer layer: Int) -> String { LayerTensors.prefix(layer: layer) + name }
}

/// A tensor of a decoder layer that is not supported and without which the result would be wrong.
struct UnsupportedTensor: Sendable {
  /// The name in the layer.
  let name: String
  /// What it is, for the message.
  let meaning: String
}

/// The inputs of a decoder layer's matrices; matrices that multiply the same input share it.
package enum LinearInput: String, Sendable, CaseIterable {
  /// The input of the query, key and value matrices: the residual stream after its norm.
  case attention
  /// The input of the attention output matrix: the outputs of the heads.
  case attentionOutput = "attention-output"
  /// The input of the gate and up matrices: the residual stream after its second norm.
  case feedForward = "feed-forward"
  /// The input of the down matrix: the gated product.
  case down

  /// The number of channels.
  package func size(_ configuration: Configuration) -> Int {
    switch self {
    case .attention, .feedForward: configuration.hiddenSize
    case .attentionOutput: configuration.queryWidth
    case .down: configuration.intermediateSize
    }
  }

  /// The matrices that multiply it, in the order of the table.
  package var matrices: [LayerMatrix] { LayerTensors.matrices.filter { $0.input == self } }

  /// The norm that computes it from the residual stream, or nil.
  package var norm: LayerNorm? { LayerTensors.norms.first { $0.input == self } }

  /// The matrix to whose outputs its channels are proportional, or nil.
  package var scalingMatrix: LayerMatrix? {
    LayerTensors.matrices.first { $0.scaledInput == self }
  }
}
