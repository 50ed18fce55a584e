package import DuetSystem

/// The forward pass of single decoder layers over whole sequences, with a cache for one layer.
///
/// Keys and values are in single precision, and each run overwrites those of the run before.
package struct DecoderLayerPass: ~Copyable {
  private var pass: ForwardPass
  /// The keys and values of one layer and one sequence.
  private var cache: KVCache

  /// A pass over sequences of at most `contextLength` tokens.
  ///
  /// - Parameters:
  ///   - configuration: The sizes of the layers.
  ///   - contextLength: The most tokens of a sequence.
  ///   - kernelSet: The kernels to compute with.
  ///   - pool: The threads to compute with.
  package init(
    _ configuration: Configuration, contextLength: Int, kernelSet: KernelSet = .standard,
    pool: WorkerPool
  ) {
    precondition(contextLength > 0, "a context of \(contextLength) tokens")
    pass = ForwardPass(
      configuration, tokenLimit: contextLength,
      context: ExecutionContext(configuration, kernelSet: kernelSet, pool: pool))
    cache = KVCache(configuration, layerCount: 1, capacity: contextLength, type: .f32)
  }

  /// The sizes of the layers.
  package var configuration: Configuration { pass.configuration }

  /// The most tokens of one call of `run`.
  package var tokenLimit: Int { pass.tokenLimit }

  /// Runs `layer` over the first n = `tokenCount` tokens of a sequence, in paper order.
  ///
  /// - Parameters:
  ///   - layer: The weights.
  ///   - hidden: The residual stream, (n, hiddenSize), changed in place.
  ///   - n: The number of tokens, at most `tokenLimit`.
  ///   - last: The input at which the run ends, for callers that only observe it: its products and all
  ///     later steps are left out, and `hidden` is the residual stream at that point.
  ///   - observe: Called with every input of a matrix before it is multiplied: rows of `n` tokens,
  ///     `stride` numbers apart, valid during the call.
  /// - Throws: What `observe` throws; the values in `hidden` are then invalid.
  /// - Complexity: One pass over the weights of the layer.
  package mutating func run<Failure: Error>(
    _ layer: DecoderLayer, _ hidden: inout Buffer<Float>, tokenCount n: Int,
    endsBefore last: LinearInput? = nil,
    observe: (_ input: LinearInput, _ rows: Span<Float>, _ stride: Int, _ tokenCount: Int)
      throws(Failure) -> Void
  ) throws(Failure) {
    try pass.run(
      layer, &hidden, cache: &cache, cacheLayer: 0, position: 0, tokenCount: n, endsBefore: last,
      observe: observe)
  }

  // MARK: - Parts of a layer

  /// Makes memory for the products of a layer with compressed matrices.
  ///
  /// Needed before the first of these layers, and again for every layer that needs more.
  ///
  /// - Parameters:
  ///   - layer: The weights.
  ///   - type: The type of the activations that packed matrices multiply.
  package mutating func prepare(for layer: DecoderLayer, type: ActivationType) {
    pass.activations.compressed = CompressedScratch(
      layer.linears, tokenLimit: tokenLimit, threadCount: pass.context.pool.threadCount,
      type: type)
  }

  /// Computes an input of a layer from the residual stream before the norm that the input depends on.
  ///
  /// - Parameters:
  ///   - input: The input.
  ///   - layer: The weights; only the norm before the input, and the matrices between the two, are read.
  ///   - hidden: The residual stream, (tokenLimit, hiddenSize).
  ///   - body: Gets the rows, `stride` numbers apart, valid during the call.
  /// - Throws: What `body` throws.
  package mutating func compute<Failure: Error>(
    _ input: LinearInput, of layer: DecoderLayer, from hidden: borrowing Buffer<Float>,
    _ body: (_ rows: Span<Float>, _ stride: Int) throws(Failure) -> Void
  ) throws(Failure) {
    let n = tokenLimit
    switch input {
    case .attention: pass.computeAttentionInput(layer, hidden, n)
    case .attentionOutput:
      pass.computeAttentionInput(layer, hidden, n)
      pass.multiplyQueriesKeysValues(layer, n)
      pass.attend(to: &cache, layer: 0, position: 0, tokenCount: n)
    case .feedForward: pass.computeFeedForwardInput(layer, hidden, n)
    case .down:
      pass.computeFeedForwardInput(layer, hidden, n)
      pass.computeDownInput(layer, n)
    }
    try pass.show(input, n) { _, rows, stride, _ throws(Failure) in try body(rows, stride) }
  }

  /// Sets an input of a layer to rows that were computed earlier.
  ///
  /// - Parameters:
  ///   - input: `attentionOutput` or `down`.
  ///   - rows: (tokenLimit, size of the input), without gaps.
  package mutating func restore(_ input: LinearInput, _ rows: borrowing Buffer<Float>) {
    pass.activations.restore(input, rows, tokenCount: tokenLimit, configuration)
  }

  /// Multiplies an input, which was computed or restored last, with its matrix and adds the result to the
  /// residual stream.
  ///
  /// - Parameters:
  ///   - input: `attentionOutput` or `down`.
  ///   - layer: The weights.
  ///   - hidden: The residual stream, (tokenLimit, hiddenSize).
  package mutating func addProduct(
    of input: LinearInput, of layer: DecoderLayer, to hidden: inout Buffer<Float>
  ) {
    switch input {
    case .attentionOutput: pass.addAttentionOutput(layer, &hidden, tokenLimit)
    case .down: pass.addDown(layer, &hidden, tokenLimit)
    case .attention, .feedForward: preconditionFailure("\(input) is not added to the stream")
    }
  }

  /// Whether the first `count` numbers are all finite.
  package func isFinite(_ values: borrowing Buffer<Float>, count: Int) -> Bool {
    pass.isFinite(values, count: count)
  }
}
