/// The weights of one decoder layer of a Llama-style model.
public struct DecoderLayer: Sendable {
  /// The gains before attention, (hiddenSize).
  let attentionNorm: [Float]
  /// Queries, keys and values: (headCount + 2 keyValueHeadCount) * headSize rows.
  let queriesKeysValues: Linear
  /// From the heads back to the residual stream: (hiddenSize, headCount * headSize).
  let attentionOutput: Linear
  /// The gains before the feed-forward part, (hiddenSize).
  let feedForwardNorm: [Float]
  /// Gate and up: 2 * intermediateSize rows.
  let gateUp: Linear
  /// Back to the residual stream: (hiddenSize, intermediateSize).
  let down: Linear

  /// The layer with the tensor names of Hugging Face checkpoints.
  ///
  /// - Throws: `CheckpointError` naming the first tensor that is missing or not what the
  ///   configuration says.
  package init(
    _ checkpoint: borrowing Checkpoint, index: Int
  ) throws(CheckpointError) {
    try self.init(checkpoint, index: index, rotations: ModelRotations(checkpoint))
  }

  /// The same with rotations that are loaded already.
  init(
    _ checkpoint: borrowing Checkpoint, index: Int, rotations: ModelRotations
  ) throws(CheckpointError) {
    let configuration = checkpoint.configuration
    let prefix = "model.layers.\(index)"
    let hiddenSize = configuration.hiddenSize
    let queryRows = configuration.headCount * configuration.headSize
    let keyRows = configuration.keyValueHeadCount * configuration.headSize
    attentionNorm = try checkpoint.vector(
      named: "\(prefix).input_layernorm.weight", count: hiddenSize)
    queriesKeysValues = try Linear(
      checkpoint,
      [
        ("\(prefix).self_attn.q_proj", queryRows), ("\(prefix).self_attn.k_proj", keyRows),
        ("\(prefix).self_attn.v_proj", keyRows),
      ], inputSize: hiddenSize, hasBias: configuration.hasAttentionBias,
      rotations: rotations)
    attentionOutput = try Linear(
      checkpoint, [("\(prefix).self_attn.o_proj", hiddenSize)], inputSize: queryRows,
      hasBias: configuration.hasAttentionBias,
      rotations: rotations)
    feedForwardNorm = try checkpoint.vector(
      named: "\(prefix).post_attention_layernorm.weight", count: hiddenSize)
    gateUp = try Linear(
      checkpoint,
      [
        ("\(prefix).mlp.gate_proj", configuration.intermediateSize),
        ("\(prefix).mlp.up_proj", configuration.intermediateSize),
      ], inputSize: hiddenSize, hasBias: configuration.hasFeedForwardBias,
      rotations: rotations)
    down = try Linear(
      checkpoint, [("\(prefix).mlp.down_proj", hiddenSize)],
      inputSize: configuration.intermediateSize, hasBias: configuration.hasFeedForwardBias,
      rotations: rotations)
  }

  /// The linear layers in the order they run.
  public var linears: [Linear] { [queriesKeysValues, attentionOutput, gateUp, down] }
}
