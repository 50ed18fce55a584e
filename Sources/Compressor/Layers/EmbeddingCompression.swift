internal import DuetEvaluation
internal import DuetRuntime
internal import DuetSystem

/// The compression of the embedding, which comes before that of the layers: their inputs in the compressed
/// model begin with its rows.
///
/// What it costs is measured: the Kullback-Leibler divergence between the next-token probabilities of the
/// original model and of the same model with the compressed embedding, as `Session` runs both. So it counts
/// the rows that are looked up and, where the head is tied, the logits with activations of eight bits.
struct EmbeddingCompression<Observer: CompressionObserver> {
  private let context: CompressionContext
  private let samples: CalibrationSamples
  private let observer: Observer

  private var plan: CompressionPlan { context.plan }
  private var checkpoint: Checkpoint { context.checkpoint }

  /// The compression of the embedding of `context`.
  init(_ context: CompressionContext, _ samples: CalibrationSamples, _ observer: Observer) {
    self.context = context
    self.samples = samples
    self.observer = observer
  }

  /// Compresses the embedding, or takes it from the journal; nil when it stays as it is.
  ///
  /// - Throws: `CompressionDataError`, `PerplexityError`, errors of the checkpoint and of files,
  ///   `CompressionStopped`.
  func run(_ journal: inout Journal) throws -> CompressedLinear? {
    guard let stored = try context.embeddingToCompress() else { return nil }
    let name = CompressedFormat.embeddingName
    if let done = try journal.completed(name, observer) { return done }
    observer.phaseBegan(.packingEmbedding)
    let clock = ContinuousClock()
    let start = clock.now
    var embedding = try compressed(stored, name)
    embedding.record.klDivergence = try divergence(with: embedding)
    try journal.record(embedding, seconds: start.duration(to: clock.now) / .seconds(1))
    if observer.isCancelled { throw CompressionStopped() }
    // The mapped copy, so that the one in memory can be freed.
    return try journal.completed(name) ?? embedding
  }

  private func compressed(
    _ stored: StoredTensor, _ name: String
  ) throws(CompressionDataError) -> CompressedLinear {
    let (rows, columns) = (stored.shape[0], stored.shape[1])
    let weight = Matrix(widening: stored, rowCount: rows, columnCount: columns)
    let packing = HeadCompressor(context.algebra)
    guard
      let layout = plan.compressedFormat.vocabularyLayout(
        of: name, vocabularySize: rows, hiddenSize: columns)
    else { return try packing.halved(weight, name: name) }
    return try packing.compress(weight, name: name, layout: layout)
  }

  // MARK: - The cost

  /// The mean divergence of the model with `embedding` from the original one, in nats per token; nil when a
  /// window has no token to predict.
  private func divergence(with embedding: CompressedLinear) throws -> Double? {
    let windows = EmbeddingWindows(
      sampleCount: samples.sampleCount, contextLength: samples.contextLength)
    if windows.length < 2 { return nil }
    let tokens = (0..<windows.count).flatMap { samples.tokens(of: $0).prefix(windows.length) }
    var measurement = PerplexityMeasurement(
      try WindowPlan(
        documents: [tokens], protocol: .paper, contextLength: windows.length, beginning: .never,
        beginningToken: nil, addsBeginning: false, path: "the samples"))
    let options = SessionOptions(
      contextLength: windows.length, threadCount: context.options.threadCount, cacheType: .f32)
    var original = try Session(context.model, options: options)
    var changed = try Session(context.model(with: embedding), options: options)
    do throws(PerplexityError) {
      while !measurement.isComplete {
        try measurement.scoreNextWindow(
          &changed, comparingWith: &original, isCancelled: { observer.isCancelled })
        observer.progressed(measurement.windowsDone * windows.length, of: windows.tokenCount)
      }
    } catch {
      if error == .generation(.cancelled) { throw CompressionStopped() }
      throw error
    }
    return measurement.comparison?.divergence.mean
  }
}

/// The windows that the cost of a compressed embedding is measured on: the beginnings of the first samples.
struct EmbeddingWindows {
  /// The number of windows, at most 4.
  let count: Int
  /// The number of tokens of a window, at most 512.
  let length: Int

  /// The windows of samples of `contextLength` tokens.
  init(sampleCount: Int, contextLength: Int) {
    count = min(sampleCount, 4)
    length = min(contextLength, 512)
  }

  /// The tokens of all windows.
  var tokenCount: Int { count * length }
}
