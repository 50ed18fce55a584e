internal import DuetSystem

/// The steps of a decoder layer, in paper order.
///
/// Each reads and writes buffers of `activations`; n is the number of tokens.
extension ForwardPass {
  /// The input of queries, keys and values: the residual stream after its norm, (n, hiddenSize).
  mutating func computeAttentionInput(
    _ layer: DecoderLayer, _ hidden: borrowing Buffer<Float>, _ n: Int
  ) {
    normalize(hidden, layer.attentionNorm, n)
  }

  /// The queries, keys and values of all heads, (n, q + k + v).
  mutating func multiplyQueriesKeysValues(_ layer: DecoderLayer, _ n: Int) {
    context.multiply(
      layer.queriesKeysValues, activations.normalized, inputStride: configuration.hiddenSize,
      tokenCount: n, scratch: &activations.compressed, into: &activations.projected)
  }

  /// The outputs of all heads, (n, headCount * headSize), of one sequence that begins at `position`.
  mutating func attend(
    to cache: inout KVCache, layer: Int, position: Int, tokenCount n: Int
  ) {
    prepareAngles(TokenRun(rows: 0..<n, position: position))
    context.attend(
      &activations, to: &cache, layer: layer, position: position, tokenCount: n, configuration)
  }

  /// Projects the outputs of all heads, (n, headCount * headSize), back to the residual stream.
  mutating func addAttentionOutput(_ layer: DecoderLayer, _ hidden: inout Buffer<Float>, _ n: Int) {
    context.multiply(
      layer.attentionOutput, activations.attended,
      inputStride: activations.stride(of: .attentionOutput, configuration), tokenCount: n,
      scratch: &activations.compressed, into: &activations.update)
    context.add(activations.update, tokenCount: n, size: configuration.hiddenSize, to: &hidden)
  }

  /// The input of gate and up: the residual stream after its second norm, (n, hiddenSize).
  mutating func computeFeedForwardInput(
    _ layer: DecoderLayer, _ hidden: borrowing Buffer<Float>, _ n: Int
  ) {
    normalize(hidden, layer.feedForwardNorm, n)
  }

  /// The input of down: gate and up, (n, 2 * intermediateSize), and the gating.
  mutating func computeDownInput(_ layer: DecoderLayer, _ n: Int) {
    context.multiply(
      layer.gateUp, activations.normalized, inputStride: configuration.hiddenSize, tokenCount: n,
      scratch: &activations.compressed, into: &activations.gateUp)
    context.gate(&activations.gateUp, tokenCount: n, size: configuration.intermediateSize)
  }

  /// Projects the gated values back to the residual stream.
  mutating func addDown(_ layer: DecoderLayer, _ hidden: inout Buffer<Float>, _ n: Int) {
    context.multiply(
      layer.down, activations.gateUp, inputStride: activations.stride(of: .down, configuration),
      tokenCount: n, scratch: &activations.compressed, into: &activations.update)
    context.add(activations.update, tokenCount: n, size: configuration.hiddenSize, to: &hidden)
  }

  private mutating func normalize(
    _ hidden: borrowing Buffer<Float>, _ gains: [Float], _ n: Int
  ) {
    context.normalize(
      hidden, gains, epsilon: Float(configuration.normEpsilon), tokenCount: n,
      into: &activations.normalized)
  }
}

extension ExecutionContext {
  /// Rotates and stores the keys of one sequence whose angles are prepared, and lets its queries attend.
  func attend(
    _ activations: inout Activations, to cache: inout KVCache, layer: Int, position: Int,
    tokenCount n: Int, _ configuration: Configuration
  ) {
    rotateAndStore(
      &activations.projected, activations.angles, in: &cache, layer: layer, position: position,
      tokenCount: n, configuration)
    attend(
      activations.projected, to: cache, layer: layer, position: position, tokenCount: n,
      configuration, into: &activations.attended)
  }
}

extension Activations {
  /// Sets an input of a layer to rows without gaps.
  ///
  /// - Precondition: The input is `attentionOutput` or `down`.
  mutating func restore(
    _ input: LinearInput, _ rows: borrowing Buffer<Float>, tokenCount: Int,
    _ configuration: Configuration
  ) {
    let (size, stride) = (input.size(configuration), stride(of: input, configuration))
    precondition(rows.count >= tokenCount * size, "\(rows.count) numbers for \(tokenCount) rows")
    let target: UnsafeMutablePointer<Float>
    switch input {
    case .attentionOutput: unsafe target = attended.pointer
    case .down: unsafe target = gateUp.pointer
    case .attention, .feedForward: preconditionFailure("\(input) is computed, not restored")
    }
    for token in 0..<tokenCount {
      unsafe (target + token * stride).update(from: rows.pointer + token * size, count: size)
    }
  }

  /// The distance between the rows of an input.
  func stride(of input: LinearInput, _ configuration: Configuration) -> Int {
    switch input {
    case .attention, .feedForward: configuration.hiddenSize
    case .attentionOutput: configuration.headCount * configuration.headSize
    // Gate and up are side by side; the gated values replace the gates.
    case .down: 2 * configuration.intermediateSize
    }
  }
}
