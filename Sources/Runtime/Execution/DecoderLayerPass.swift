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

  /// Whether the first `count` numbers are all finite.
  package func isFinite(_ values: borrowing Buffer<Float>, count: Int) -> Bool {
    pass.isFinite(values, count: count)
  }
}
