internal import DuetSystem

/// The forward pass of decoder layers, one at a time, with the memory that a batch needs.
///
/// The residual stream, the keys and values and the order of the layers belong to the caller: `Session`
/// runs all layers of a model over batches of a growing sequence, `ContinuationScorer` over batches of
/// many short sequences, `DecoderLayerPass` one layer over whole sequences.
struct ForwardPass: ~Copyable {
  /// The sizes of the layers.
  let configuration: Configuration
  let context: ExecutionContext
  var activations: Activations
  private let rotary: RotaryEmbedding
  /// The rows whose angles are in `activations`.
  private var angledRuns: [TokenRun] = []
  /// The one run whose angles are in `activations`, kept apart so that a token allocates no array.
  private var angledRun: TokenRun?

  /// A pass over batches of at most `tokenLimit` tokens.
  ///
  /// - Parameters:
  ///   - configuration: The sizes of the layers.
  ///   - tokenLimit: The most tokens of one call of `run`.
  ///   - context: The kernels and threads to compute with, made for the same configuration.
  ///   - linears: The linear layers that are to be multiplied; only compressed ones need memory.
  ///   - activationType: The type of the activations that packed matrices multiply.
  init(
    _ configuration: Configuration, tokenLimit: Int, context: consuming ExecutionContext,
    linears: [Linear] = [], activationType: ActivationType = .int8
  ) {
    self.configuration = configuration
    self.context = context
    activations = Activations(
      configuration, tokenLimit: tokenLimit, linears: linears,
      threadCount: self.context.pool.threadCount, type: activationType)
    rotary = RotaryEmbedding(configuration)
  }

  /// The most tokens of one call of `run`.
  var tokenLimit: Int { activations.tokenLimit }

  /// Runs `layer` over n = `tokenCount` tokens, in paper order.
  ///
  /// - Parameters:
  ///   - layer: The weights.
  ///   - hidden: The residual stream, (n, hiddenSize), changed in place.
  ///   - cache: The keys and values of the positions so far, to which those of the tokens are added.
  ///   - cacheLayer: The index of this layer in the cache.
  ///   - position: The position of the first token; all earlier positions must be in the cache.
  ///   - n: The number of tokens, at most `tokenLimit`.
  ///   - last: The input at which the run ends, for callers that only observe it: its products and all
  ///     later steps are left out, and `hidden` is the residual stream at that point.
  ///   - observe: Called with every input of a matrix before it is multiplied: rows of `n` tokens,
  ///     `stride` numbers apart, valid during the call.
  /// - Throws: What `observe` throws; the values in `hidden` are then invalid.
  /// - Complexity: One pass over the weights of the layer.
  mutating func run<Failure: Error>(
    _ layer: DecoderLayer, _ hidden: inout Buffer<Float>, cache: inout KVCache, cacheLayer: Int,
    position: Int, tokenCount n: Int, endsBefore last: LinearInput? = nil,
    observe: (_ input: LinearInput, _ rows: Span<Float>, _ stride: Int, _ tokenCount: Int)
      throws(Failure) -> Void
  ) throws(Failure) {
    let configuration = configuration
    prepareAngles(TokenRun(rows: 0..<n, position: position))
    try run(layer, &hidden, tokenCount: n, endsBefore: last, observe: observe) {
      context, activations in
      context.rotateAndStore(
        &activations.projected, activations.angles, in: &cache, layer: cacheLayer,
        position: position, tokenCount: n, configuration)
      context.attend(
        activations.projected, to: cache, layer: cacheLayer, position: position, tokenCount: n,
        configuration, into: &activations.attended)
    }
  }

  /// Runs `layer` over rows of one or several sequences, whose angles are prepared.
  ///
  /// Only `attend` depends on which rows belong to which sequence.
  ///
  /// - Parameters:
  ///   - layer: The weights.
  ///   - hidden: The residual stream, (rows, hiddenSize), changed in place.
  ///   - n: The number of rows, at most `tokenLimit`.
  ///   - last: The input at which the run ends: its products and all later steps are left out.
  ///   - observe: Called with every input of a matrix before it is multiplied.
  ///   - attend: Rotates the queries and keys in `projected` by `angles`, lets the queries attend to the
  ///     keys and values there and to those that the caller keeps, and writes the outputs of the heads
  ///     to `attended`.
  /// - Throws: What `observe` throws.
  /// - Complexity: One pass over the weights of the layer.
  mutating func run<Failure: Error>(
    _ layer: DecoderLayer, _ hidden: inout Buffer<Float>, tokenCount n: Int,
    endsBefore last: LinearInput? = nil,
    observe: (_ input: LinearInput, _ rows: Span<Float>, _ stride: Int, _ tokenCount: Int)
      throws(Failure) -> Void,
    attend: (_ context: borrowing ExecutionContext, _ activations: inout Activations) -> Void
  ) throws(Failure) {
    let hiddenSize = configuration.hiddenSize
    let attendedSize = configuration.headCount * configuration.headSize
    let intermediateSize = configuration.intermediateSize
    let epsilon = Float(configuration.normEpsilon)
    precondition(n <= tokenLimit, "\(n) tokens in a pass of \(tokenLimit)")

    // attention: norm, then queries, keys and values of all heads (n, q + k + v)
    context.normalize(
      hidden, layer.attentionNorm, epsilon: epsilon, tokenCount: n, into: &activations.normalized)
    try observe(.attention, activations.normalized.span, hiddenSize, n)
    if last == .attention { return }
    context.multiply(
      layer.queriesKeysValues, activations.normalized, inputStride: hiddenSize, tokenCount: n,
      scratch: &activations.compressed, into: &activations.projected)
    // the outputs of all heads (n, headCount * headSize), projected back to the residual stream
    attend(context, &activations)
    try observe(.attentionOutput, activations.attended.span, attendedSize, n)
    if last == .attentionOutput { return }
    context.multiply(
      layer.attentionOutput, activations.attended, inputStride: attendedSize, tokenCount: n,
      scratch: &activations.compressed, into: &activations.update)
    context.add(activations.update, tokenCount: n, size: hiddenSize, to: &hidden)

    // feed-forward: norm, gate and up (n, 2 * intermediateSize), gating, down
    context.normalize(
      hidden, layer.feedForwardNorm, epsilon: epsilon, tokenCount: n, into: &activations.normalized)
    try observe(.feedForward, activations.normalized.span, hiddenSize, n)
    if last == .feedForward { return }
    context.multiply(
      layer.gateUp, activations.normalized, inputStride: hiddenSize, tokenCount: n,
      scratch: &activations.compressed, into: &activations.gateUp)
    context.gate(&activations.gateUp, tokenCount: n, size: intermediateSize)
    try observe(.down, activations.gateUp.span, 2 * intermediateSize, n)
    if last == .down { return }
    context.multiply(
      layer.down, activations.gateUp, inputStride: 2 * intermediateSize, tokenCount: n,
      scratch: &activations.compressed, into: &activations.update)
    context.add(activations.update, tokenCount: n, size: hiddenSize, to: &hidden)
  }

  /// Whether the first `count` numbers are all finite.
  func isFinite(_ values: borrowing Buffer<Float>, count: Int) -> Bool {
    context.isFinite(values, count: count)
  }

  /// Fills in the angles of all rows, once for all layers.
  mutating func prepareAngles(_ runs: [TokenRun]) {
    if runs == angledRuns { return }
    for run in runs { fillAngles(run) }
    angledRuns = runs
    angledRun = nil
  }

  /// Fills in the angles of rows of one sequence.
  private mutating func prepareAngles(_ run: TokenRun) {
    if run == angledRun { return }
    fillAngles(run)
    angledRun = run
    if !angledRuns.isEmpty { angledRuns = [] }
  }

  private mutating func fillAngles(_ run: TokenRun) {
    rotary.fill(
      from: run.position, count: run.rows.count, &activations.angles,
      firstRow: run.rows.lowerBound)
  }
}
