internal import DuetSystem

/// One run of a model over one sequence of tokens: its KV cache, activations and logits.
///
/// ```swift
/// var session = try Session(model)
/// try session.append(tokenizer.encode("Once upon a time"))
/// let next = try sampler.next(session.logits)
/// ```
///
/// All that changes while a model runs is here; the model itself is shared. A session is used by one
/// thread at a time.
public struct Session: ~Copyable {
  /// The model that runs.
  public let model: Model
  /// The most tokens that the session can hold.
  public let contextLength: Int
  /// The number of tokens evaluated so far, which is the position of the next one.
  public private(set) var position = 0

  /// The forward pass of every layer.
  var pass: ForwardPass
  /// The keys and values of all layers.
  private var cache: KVCache
  /// The residual stream of one batch, (token, hiddenSize).
  private var residual: Buffer<Float>
  /// The logits, (rows, vocabularySize): one row, or as many as `evaluate` computes together.
  private var logitRows: Buffer<Float>
  private var logitRowCount = 1
  /// The argument of `append(_:)` for one token, in memory that is reused.
  private var token = [0]

  /// An empty session.
  ///
  /// - Parameters:
  ///   - model: The model to run.
  ///   - options: How to run it.
  /// - Throws: `GenerationError.invalidContextLength` when the context length is not positive or its
  ///   cache would not fit in the address space.
  public init(_ model: Model, options: SessionOptions = SessionOptions()) throws(GenerationError) {
    let configuration = model.configuration
    let length = options.contextLength ?? min(configuration.contextLength, 4096)
    guard length > 0, length <= 1 << 24,
      let byteCount = KVCache.byteCount(
        configuration, capacity: length, type: options.cacheType), byteCount < 1 << 46
    else { throw .invalidContextLength(length) }
    self.model = model
    contextLength = length
    let tokenLimit = max(1, min(options.batchSize, length))
    cache = KVCache(
      configuration, layerCount: configuration.layerCount, capacity: length,
      type: options.cacheType)
    pass = ForwardPass(
      configuration, tokenLimit: tokenLimit,
      context: ExecutionContext(
        configuration, kernelSet: options.kernelSet,
        pool: WorkerPool(threadCount: max(1, options.threadCount))),
      linears: model.layers.flatMap(\.linears) + [model.head], activationType: options.activations)
    residual = Buffer(count: tokenLimit * configuration.hiddenSize)
    logitRows = Buffer(count: configuration.vocabularySize)
  }

  /// The score of every token as the next one, (vocabularySize), after the last `append`.
  public var logits: Span<Float> {
    @_lifetime(borrow self)
    borrowing get { logitRows.span.extracting(first: model.configuration.vocabularySize) }
  }

  /// The number of threads that compute.
  public var threadCount: Int { pass.context.pool.threadCount }

  /// Forgets everything from `position` on, so that other tokens can follow the earlier ones.
  ///
  /// The logits are those of the last evaluated token until the next `append`.
  ///
  /// - Precondition: `position` is in `0 ... self.position`.
  public mutating func truncate(to position: Int) {
    precondition(
      position >= 0 && position <= self.position, "truncation to \(position) of \(self.position)")
    self.position = position
  }

  /// The type of the keys and values.
  var cacheType: KVCacheType { cache.type }
  /// The type of the activations that packed matrices multiply.
  var activationType: ActivationType { pass.activations.compressed.type }

  /// The bytes of the keys and values of `positionCount` tokens in a file.
  func cacheByteCount(positionCount: Int) -> Int {
    cache.savedByteCount(
      layerCount: model.configuration.layerCount, positionCount: positionCount)
  }

  /// Appends the keys and values of the evaluated tokens to a file.
  borrowing func saveCache(to file: inout SealedFileWriter) throws(FileError) {
    try cache.save(
      layerCount: model.configuration.layerCount, positionCount: position, to: &file)
  }

  /// Takes the keys and values of `positionCount` tokens, which are then evaluated, from a file's bytes.
  ///
  /// - Precondition: There are `cacheByteCount(positionCount:)` bytes, and the context holds as many tokens.
  mutating func restoreCache(positionCount: Int, from bytes: RawSpan) {
    cache.restore(
      layerCount: model.configuration.layerCount, positionCount: positionCount, from: bytes)
    position = positionCount
  }

  /// Fills the cache up to `position` with random keys and values, as if tokens had been evaluated.
  ///
  /// For measurements: the time of a token does not depend on the numbers.
  ///
  /// - Precondition: `position` is in `0 ... contextLength`.
  package mutating func fillCache(to position: Int) {
    precondition(
      position >= 0 && position <= contextLength, "\(position) positions of \(contextLength)")
    cache.fill(
      layerCount: model.configuration.layerCount, positionCount: position, pass.context)
    self.position = position
  }

  /// Evaluates `tokens` after the earlier ones, and writes the logits of the last to `logits`.
  ///
  /// - Parameters:
  ///   - tokens: At least one id.
  ///   - isCancelled: Called between layers; when it returns true, `position` counts the whole batches
  ///     that were evaluated and `cancelled` is thrown.
  /// - Throws: `GenerationError`.
  /// - Complexity: One pass over the weights per `batchSize` tokens.
  public mutating func append(
    _ tokens: [Int], isCancelled: () -> Bool = { false }
  ) throws(GenerationError) {
    try check(tokens)
    if tokens.isEmpty { return }
    var start = 0
    while start < tokens.count {
      let end = min(start + pass.tokenLimit, tokens.count)
      try forward(tokens[start..<end], isCancelled)
      start = end
    }
    let last = (tokens.count - 1) % pass.tokenLimit
    try computeLogits(firstToken: last, count: 1)
  }

  /// Evaluates one token after the earlier ones, and writes its logits to `logits`.
  ///
  /// - Throws: `GenerationError`.
  /// - Complexity: One pass over the weights; no allocation.
  public mutating func append(_ token: Int) throws(GenerationError) {
    self.token[0] = token
    try append(self.token)
  }

  /// Evaluates `tokens` like `append` and calls `body` with the logits after each of them, in order.
  ///
  /// - Parameters:
  ///   - tokens: At least one id.
  ///   - isCancelled: As for `append`.
  ///   - body: Called with the index into `tokens` and the logits after that token,
  ///     (vocabularySize), valid during the call.
  /// - Throws: `GenerationError`.
  public mutating func evaluate(
    _ tokens: [Int], isCancelled: () -> Bool = { false },
    _ body: (_ index: Int, _ logits: Span<Float>) -> Void
  ) throws(GenerationError) {
    try evaluate(tokens, isCancelled: isCancelled, states: { _ in }, body)
  }

  /// Evaluates `tokens` like `evaluate(_:isCancelled:_:)`, and calls `states` with the residual streams behind the last
  /// layer of each batch of tokens, (tokens, hiddenSize) as F32, before `body` gets its logits.
  ///
  /// - Throws: `GenerationError`.
  package mutating func evaluate(
    _ tokens: [Int], isCancelled: () -> Bool = { false }, states: (RawSpan) -> Void,
    _ body: (_ index: Int, _ logits: Span<Float>) -> Void
  ) throws(GenerationError) {
    try check(tokens)
    reserveLogits(rows: tokens.count)
    var start = 0
    while start < tokens.count {
      let end = min(start + pass.tokenLimit, tokens.count)
      try forward(tokens[start..<end], isCancelled)
      let count = (end - start) * model.configuration.hiddenSize
      unsafe states(residual.span.extracting(first: count).bytes)
      try giveLogits(count: end - start, firstIndex: start, body)
      start = end
    }
  }

  /// Calls `body` with the logits that follow from residual streams behind the last layer.
  ///
  /// The logits are those that `evaluate` gave with these states, when it was called with as many tokens.
  ///
  /// - Parameters:
  ///   - states: (count, hiddenSize) as F32.
  ///   - count: The number of states.
  ///   - body: As for `evaluate`.
  /// - Throws: `GenerationError.nonFinite`.
  package mutating func evaluate(
    states: RawSpan, count: Int, _ body: (_ index: Int, _ logits: Span<Float>) -> Void
  ) throws(GenerationError) {
    let size = model.configuration.hiddenSize
    let rowByteCount = size * MemoryLayout<Float>.stride
    precondition(states.byteCount == count * rowByteCount, "\(states.byteCount) bytes of states")
    reserveLogits(rows: count)
    for start in stride(from: 0, to: count, by: pass.tokenLimit) {
      let end = min(start + pass.tokenLimit, count)
      let piece = states.extracting(start * rowByteCount..<end * rowByteCount)
      unsafe piece.withUnsafeBytes { bytes in
        unsafe UnsafeMutableRawBufferPointer(
          start: residual.pointer, count: residual.count * MemoryLayout<Float>.stride
        ).copyMemory(from: bytes)
      }
      try giveLogits(count: end - start, firstIndex: start, body)
    }
  }

  /// Makes room for the logits of up to `rows` tokens, as many as are computed together.
  private mutating func reserveLogits(rows: Int) {
    let count = min(pass.logitRowLimit, rows)
    guard logitRowCount < count else { return }
    logitRowCount = count
    logitRows = Buffer(count: count * model.configuration.vocabularySize)
  }

  /// Calls `body` with the logits of the first `count` tokens in `residual`.
  private mutating func giveLogits(
    count: Int, firstIndex: Int, _ body: (_ index: Int, _ logits: Span<Float>) -> Void
  ) throws(GenerationError) {
    let vocabularySize = model.configuration.vocabularySize
    for first in stride(from: 0, to: count, by: pass.logitRowLimit) {
      let rowCount = min(pass.logitRowLimit, count - first)
      try computeLogits(firstToken: first, count: rowCount)
      let rows = logitRows.span
      for row in 0..<rowCount {
        body(
          firstIndex + first + row,
          rows.extracting(row * vocabularySize..<(row + 1) * vocabularySize))
      }
    }
  }

  private func check(_ tokens: [Int]) throws(GenerationError) {
    let vocabularySize = model.configuration.vocabularySize
    if let id = tokens.first(where: { $0 < 0 || $0 >= vocabularySize }) {
      throw .tokenOutOfRange(id: id, vocabularySize: vocabularySize)
    }
    let needed = position + tokens.count
    guard needed <= contextLength else {
      throw .contextFull(needed: needed, capacity: contextLength)
    }
  }

  /// Runs one batch through all layers; the residual stream stays in `residual`.
  private mutating func forward(
    _ tokens: ArraySlice<Int>, _ isCancelled: () -> Bool
  ) throws(GenerationError) {
    let (position, n) = (position, tokens.count)
    try pass.run(model, tokens, &residual, &cache, isCancelled: isCancelled) {
      pass, layer, index, residual, cache in
      pass.run(
        layer, &residual, cache: &cache, cacheLayer: index, position: position, tokenCount: n,
        observe: { _, _, _, _ in })
    }
    self.position += n
  }

  /// Computes the logits of `count` tokens of the last batch, from `firstToken` on, into `logitRows`.
  private mutating func computeLogits(firstToken: Int, count: Int) throws(GenerationError) {
    try pass.computeFiniteLogits(
      of: model, residual, firstToken: firstToken, count: count, into: &logitRows)
  }
}
