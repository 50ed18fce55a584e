/// The weights of one decoder layer of a Llama-style model.
package struct DecoderLayer: Sendable {
  /// The gains of the norm before attention, (hiddenSize).
  let attentionNorm: [Float]
  /// Queries, keys and values: (headCount + 2 keyValueHeadCount) * headSize rows.
  let queriesKeysValues: Linear
  /// The projection from the heads back to the residual stream: (hiddenSize, headCount * headSize).
  let attentionOutput: Linear
  /// The gains of the norm before the feed-forward part, (hiddenSize).
  let feedForwardNorm: [Float]
  /// Gate and up: 2 * intermediateSize rows.
  let gateUp: Linear
  /// The projection back to the residual stream: (hiddenSize, intermediateSize).
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

  /// The layer of a checkpoint whose rotations are loaded already.
  init(
    _ checkpoint: borrowing Checkpoint, index: Int, rotations: ModelRotations
  ) throws(CheckpointError) {
    attentionNorm = try checkpoint.gains(before: .attention, layer: index)
    queriesKeysValues = try Linear(checkpoint, .attention, layer: index, rotations)
    attentionOutput = try Linear(checkpoint, .attentionOutput, layer: index, rotations)
    feedForwardNorm = try checkpoint.gains(before: .feedForward, layer: index)
    gateUp = try Linear(checkpoint, .feedForward, layer: index, rotations)
    down = try Linear(checkpoint, .down, layer: index, rotations)
  }

  /// The bias of the attention output matrix, (hiddenSize), or nil.
  package var attentionOutputBias: [Float]? { attentionOutput.bias }
  /// The bias of the down matrix, (hiddenSize), or nil.
  package var downBias: [Float]? { down.bias }

  /// The linear layers in the order they run.
  package var linears: [Linear] { [queriesKeysValues, attentionOutput, gateUp, down] }
}

extension Linear {
  /// The matrices of a decoder layer that share an input.
  fileprivate init(
    _ checkpoint: borrowing Checkpoint, _ input: LinearInput, layer: Int,
    _ rotations: ModelRotations
  ) throws(CheckpointError) {
    let configuration = checkpoint.configuration
    let matrices = input.matrices
    try self.init(
      checkpoint,
      matrices.map { ($0.name(inLayer: layer), $0.outputSize(configuration)) },
      inputSize: input.size(configuration),
      hasBias: matrices.allSatisfy { $0.hasBias(configuration) }, rotations: rotations)
  }
}

extension Checkpoint {
  /// The gains of the norm before an input of a decoder layer, (hiddenSize).
  ///
  /// - Precondition: The input has a norm.
  fileprivate func gains(
    before input: LinearInput, layer: Int
  ) throws(CheckpointError) -> [Float] {
    guard let norm = input.norm else { preconditionFailure("no norm before \(input)") }
    return try vector(named: norm.name(inLayer: layer), count: configuration.hiddenSize)
  }
}
