internal import DuetSystem

/// The log-likelihood of a continuation, and whether greedy decoding gives it.
package struct ContinuationScore: Sendable, Equatable {
  /// The log-likelihood, in nats.
  package var logLikelihood: Double
  /// Whether each token has the largest logit after the tokens before it; of equal logits the lowest
  /// id counts.
  package var isGreedy: Bool

  /// Makes a score, by default that of no tokens.
  package init(logLikelihood: Double = 0, isGreedy: Bool = true) {
    self.logLikelihood = logLikelihood
    self.isGreedy = isGreedy
  }
}

/// Log-likelihoods of continuations, many contexts at a time.
///
/// A context is evaluated once for all its continuations, and as many contexts as fit form one batch, so
/// that the weights are read once for hundreds of tokens, however short the contexts are. Layers run one
/// after the other over a batch, and no keys and values are kept after it: no cache of all layers is
/// needed, and keys and values stay in single precision.
///
/// Accuracy: the same as a full pass over context and continuation in a `Session` with an F32 cache,
/// except for rounding, because products are added in another order; see `ContinuationScorerTests`.
package struct ContinuationScorer: ~Copyable {
  /// The model that runs.
  package let model: Model
  /// The most tokens evaluated together.
  package let tokenLimit: Int
  /// The most tokens of a context and a continuation together, without the last one.
  package let longestSequence: Int

  private var pass: ForwardPass
  private var keys: PackedKeys
  /// The residual stream of one batch, (tokenLimit, hiddenSize).
  private var residual: Buffer<Float>
  /// The logits, (rowLimit, vocabularySize).
  private var logitRows: Buffer<Float>
  /// The normalisers of log-softmax, (rowLimit).
  private var normalizers: Buffer<Double>
  private let rowLimit: Int

  /// A scorer of sequences of at most `longestSequence` tokens.
  ///
  /// - Parameters:
  ///   - model: The model to run.
  ///   - longestSequence: The largest `SharedContext.longestSequence` that will be asked for.
  ///   - options: How to run it; `contextLength` and `cacheType` do not matter.
  /// - Throws: `GenerationError.invalidContextLength` for a length that is not positive or beyond 2^24.
  package init(
    _ model: Model, longestSequence: Int, options: SessionOptions = SessionOptions()
  ) throws(GenerationError) {
    let configuration = model.configuration
    guard longestSequence > 0, longestSequence <= 1 << 24 else {
      throw .invalidContextLength(longestSequence)
    }
    self.model = model
    self.longestSequence = longestSequence
    tokenLimit = max(options.batchSize, longestSequence)
    let threadCount = max(1, options.threadCount)
    pass = ForwardPass(
      configuration, tokenLimit: tokenLimit,
      context: ExecutionContext(
        configuration, kernelSet: options.kernelSet, pool: WorkerPool(threadCount: threadCount)),
      linears: model.layers.flatMap(\.linears) + [model.head])
    keys = PackedKeys(configuration, capacity: longestSequence, threadCount: threadCount)
    rowLimit = pass.logitRowLimit
    residual = Buffer(count: tokenLimit * configuration.hiddenSize)
    logitRows = Buffer(count: rowLimit * configuration.vocabularySize)
    normalizers = Buffer(count: rowLimit)
  }

  /// The score of every continuation.
  ///
  /// Its log-likelihood is the sum, over the tokens of the continuation, of the logarithm of the token's
  /// probability after all tokens before it; 0 for a continuation without tokens.
  ///
  /// - Parameters:
  ///   - contexts: The contexts with their continuations.
  ///   - isCancelled: Called between layers; true stops the work.
  /// - Returns: For each context a score for each of its continuations.
  /// - Throws: `GenerationError`; `contextFull` for a sequence longer than `longestSequence`.
  /// - Complexity: One pass over the weights for every `tokenLimit` tokens.
  package mutating func scores(
    _ contexts: [SharedContext], isCancelled: () -> Bool = { false }
  ) throws(GenerationError) -> [[ContinuationScore]] {
    try check(contexts)
    var results: [ContinuationScore] = []
    var batch: [SharedContext] = []
    var count = 0
    for part in contexts.flatMap({ $0.split(limit: tokenLimit) }) {
      if count + part.evaluatedCount > tokenLimit {
        results += try score(batch, isCancelled)
        (batch, count) = ([], 0)
      }
      batch.append(part)
      count += part.evaluatedCount
    }
    results += try score(batch, isCancelled)
    var rest = results[...]
    return contexts.map { context in
      let own = rest.prefix(context.continuations.count)
      rest = rest.dropFirst(own.count)
      return Array(own)
    }
  }

  private func check(_ contexts: [SharedContext]) throws(GenerationError) {
    let vocabularySize = model.configuration.vocabularySize
    for context in contexts {
      for tokens in [context.context] + context.continuations {
        if let id = tokens.first(where: { $0 < 0 || $0 >= vocabularySize }) {
          throw .tokenOutOfRange(id: id, vocabularySize: vocabularySize)
        }
      }
      guard context.longestSequence <= longestSequence else {
        throw .contextFull(needed: context.longestSequence, capacity: longestSequence)
      }
    }
  }

  /// The scores of the continuations of one batch, in order.
  private mutating func score(
    _ contexts: [SharedContext], _ isCancelled: () -> Bool
  ) throws(GenerationError) -> [ContinuationScore] {
    let batch = PackedContexts(contexts)
    var results = [ContinuationScore](
      repeating: ContinuationScore(), count: batch.continuationCount)
    guard !batch.targets.isEmpty else { return results }
    try pass.run(model, batch.tokens[...], &residual, &keys, isCancelled: isCancelled) {
      pass, layer, _, residual, keys in
      pass.run(layer, &residual, sequences: batch.sequences, keys: &keys)
    }
    let vocabularySize = model.configuration.vocabularySize
    var targets = batch.targets[...]
    for first in stride(from: 0, to: batch.tokens.count - batch.firstScoredRow, by: rowLimit) {
      let count = min(rowLimit, batch.tokens.count - batch.firstScoredRow - first)
      try pass.computeFiniteLogits(
        of: model, residual, firstToken: batch.firstScoredRow + first, count: count,
        into: &logitRows)
      pass.context.logSumExp(
        logitRows, rowCount: count, size: vocabularySize, into: &normalizers)
      while let target = targets.first, target.row < first + count {
        let row = target.row - first
        results[target.continuation].logLikelihood +=
          Double(logitRows[row * vocabularySize + target.token]) - normalizers[row]
        if results[target.continuation].isGreedy {
          results[target.continuation].isGreedy = isLargest(target.token, inRow: row)
        }
        targets.removeFirst()
      }
    }
    return results
  }

  /// Whether a token has the largest logit of a row, and no token of a lower id has the same.
  private func isLargest(_ token: Int, inRow row: Int) -> Bool {
    let start = row * model.configuration.vocabularySize
    let logit = logitRows[start + token]
    for id in 0..<model.configuration.vocabularySize {
      let other = logitRows[start + id]
      if other > logit || other == logit && id < token { return false }
    }
    return true
  }
}
