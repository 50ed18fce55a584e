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
      context.attend(
        &activations, to: &cache, layer: cacheLayer, position: position, tokenCount: n,
        configuration)
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
    precondition(n <= tokenLimit, "\(n) tokens in a pass of \(tokenLimit)")
    // Not a loop over all inputs, which would allocate an array for every token.
    computeAttentionInput(layer, hidden, n)
    try show(.attention, n, to: observe)
    if last == .attention { return }
    multiplyQueriesKeysValues(layer, n)
    attend(context, &activations)
    try show(.attentionOutput, n, to: observe)
    if last == .attentionOutput { return }
    addAttentionOutput(layer, &hidden, n)
    computeFeedForwardInput(layer, hidden, n)
    try show(.feedForward, n, to: observe)
    if last == .feedForward { return }
    computeDownInput(layer, n)
    try show(.down, n, to: observe)
    if last == .down { return }
    addDown(layer, &hidden, n)
  }

  /// Shows the rows of an input, which was computed last.
  func show<Failure: Error>(
    _ input: LinearInput, _ n: Int,
    to observe: (_ input: LinearInput, _ rows: Span<Float>, _ stride: Int, _ tokenCount: Int)
      throws(Failure) -> Void
  ) throws(Failure) {
    let stride = activations.stride(of: input, configuration)
    switch input {
    case .attention, .feedForward: try observe(input, activations.normalized.span, stride, n)
    case .attentionOutput: try observe(input, activations.attended.span, stride, n)
    case .down: try observe(input, activations.gateUp.span, stride, n)
    }
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
  mutating func prepareAngles(_ run: TokenRun) {
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
