/// The inputs of a decoder layer's matrices; matrices that multiply the same input share it.
package enum LinearInput: String, Sendable, CaseIterable {
  /// What the query, key and value matrices multiply: the residual stream after its norm.
  case attention
  /// What the attention output matrix multiplies: what the heads read.
  case attentionOutput = "attention-output"
  /// What the gate and up matrices multiply: the residual stream after its second norm.
  case feedForward = "feed-forward"
  /// What the down matrix multiplies: the gated product.
  case down

  /// The numbers of one token.
  package func size(_ configuration: Configuration) -> Int {
    switch self {
    case .attention, .feedForward: configuration.hiddenSize
    case .attentionOutput: configuration.headCount * configuration.headSize
    case .down: configuration.intermediateSize
    }
  }
}
