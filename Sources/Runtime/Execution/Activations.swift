internal import DuetSystem

/// The buffers of a decoder layer's pass over at most `tokenLimit` tokens at a time.
struct Activations: ~Copyable {
  /// The most tokens of one batch.
  let tokenLimit: Int
  /// The residual stream after a norm, (token, hiddenSize).
  var normalized: Buffer<Float>
  /// Queries, keys, values side by side, (token, (headCount + 2 keyValueHeadCount) * headSize).
  var projected: Buffer<Float>
  /// The outputs of the attention heads, (token, headCount * headSize).
  var attended: Buffer<Float>
  /// Gate and up side by side, (token, 2 * intermediateSize).
  var gateUp: Buffer<Float>
  /// The output of a block, added to the residual stream, (token, hiddenSize).
  var update: Buffer<Float>
  /// Cosines and sines of the positions, (token, headSize).
  var angles: Buffer<Float>
  /// The memory between the steps of products with compressed weights.
  var compressed: CompressedScratch

  /// Zeroed buffers.
  init(
    _ configuration: Configuration, tokenLimit: Int, linears: [Linear], threadCount: Int,
    type: ActivationType
  ) {
    self.tokenLimit = tokenLimit
    let hidden = tokenLimit * configuration.hiddenSize
    let heads = tokenLimit * configuration.headCount * configuration.headSize
    let keys = tokenLimit * configuration.keyValueHeadCount * configuration.headSize
    normalized = Buffer(count: hidden)
    projected = Buffer(count: heads + 2 * keys)
    attended = Buffer(count: heads)
    gateUp = Buffer(count: tokenLimit * 2 * configuration.intermediateSize)
    update = Buffer(count: hidden)
    angles = Buffer(count: tokenLimit * configuration.headSize)
    compressed = CompressedScratch(
      linears, tokenLimit: tokenLimit, threadCount: threadCount, type: type)
  }
}
