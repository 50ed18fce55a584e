internal import DuetRuntime

extension CompressionForecast {
  /// The most memory that each phase of a compression uses, in bytes.
  ///
  /// With m x n weights of rank r, T tokens of a sample, t threads, h, q, k, f the widths of the model, of
  /// all query heads, of all key heads and of the feed-forward network, and d that of a head:
  ///
  ///     program         30 MiB: code, libraries and their buffers
  ///     hidden states   4 samples T h, when they are kept in memory. With corrections 4 samples T (2 h + q), and
  ///                     4 samples T f more when there is room for that too
  ///     Hessians        8 (2 h^2 + q^2 + f^2): of the inputs of q k v, of o, of gate and up, of down
  ///     activations     4 T (3 h + 2 q + 4 k + 2 f + d): one sample in one layer, keys and values, and
  ///                     for each thread up to 4 MiB of weights widened to F32
  ///     calibrating     Hessians, and for each a tile of at most 512^2 in F32 on each thread.
  ///                     With corrections, one input after the other, the larger of
  ///                     8 n^2 + 16 n h + 4 T (n + h) and two tiles, for a sample in both models, and
  ///                     16 n^2 + 20 n h for the solution
  ///     decomposing     the Hessians of later inputs (with corrections, 4 h max(q, f) for the correction
  ///                     instead), and the larger of
  ///                     16 n^2 while the metric is made: H in F64 and two matrices in F32, and
  ///                     8 n^2 + 20 m n + 20 r (m + n) + 16 t n rows: H and its factor; W twice, Q, the
  ///                     best Q, and W - Q or an image of it; five pairs of factors; a thread's rows four
  ///                     times. Where all eigenvectors are computed, 28 m^2 more, and
  ///                     `CompressionMethod.workingByteCount` more
  ///     differentiating with `--metric guided`: see `differentiating(threadCount:)`
  ///     advancing       4 bytes for each weight of a layer, 12 for those of its largest matrix
  ///     packing head    for each weight of a packed head or embedding 13 bytes: in F32, rounded, their
  ///                     difference, packed; in F16 6: in F32 and in F16. To measure what the embedding
  ///                     costs, three times 128 rows of logits, and the activations, keys and values of up
  ///                     to 512 tokens in two models
  ///
  /// Hidden states and activations count in all phases but this, the program in all phases. Measured
  /// peaks of four models are within 15 % of it (`docs/compression.md`).
  public struct Memory: Sendable, Hashable {
    /// Running samples backward through the original model; 0 where that is not needed.
    public let differentiating: Int
    /// Running samples through a layer for its Hessians.
    public let calibrating: Int
    /// Decomposing the matrix that takes the most memory.
    public let decomposing: Int
    /// Running samples through a compressed layer.
    public let advancing: Int
    /// Packing the output head or the embedding.
    public let packingHead: Int
    /// The mapped files at the peak: the source and the finished matrices.
    ///
    /// The head counts only when packing is the peak. The system keeps mapped files in memory as long as
    /// it has room, and counts them as memory of the process.
    public let mappedFiles: Int

    /// The memory of the largest phase, which the compression needs at least.
    public var peak: Int { max(differentiating, calibrating, decomposing, advancing, packingHead) }
  }

  /// The memory of the program itself.
  ///
  /// Of 30 MiB, 13.5 MiB are its own pages and 16 MiB are those of its code and libraries, measured with
  /// models so small that their own memory is negligible.
  private static var programByteCount: Int { 30 << 20 }

  /// The sizes of the inputs of a layer's matrices.
  private var inputSizes: [Int] { LinearInput.allCases.map { $0.size(configuration) } }

  /// The weights of a layer's matrices.
  private var layerWeights: Int {
    LayerTensors.matrices.reduce(0) {
      $0 + $1.outputSize(configuration) * $1.inputSize(configuration)
    }
  }

  /// The memory that the compression will use.
  ///
  /// - Parameters:
  ///   - hiddenStatesLimit: The most bytes of the states of samples that stay in memory, not in a file.
  ///   - threadCount: The number of threads.
  /// - Returns: The bytes of every phase.
  public func memory(hiddenStatesLimit: Int, threadCount: Int) -> Memory {
    let (h, f) = (configuration.hiddenSize, configuration.intermediateSize)
    let (q, k) = (configuration.queryWidth, configuration.keyValueWidth)
    let hiddenStates = stateSizes(limit: hiddenStatesLimit).inMemory
    let widened = threadCount * min(4 << 20, 4 * h * max(q, f))
    let numbers = 3 * h + 2 * q + 4 * k + 2 * f + configuration.headSize
    let always =
      Self.programByteCount + tokenWeightByteCount + hiddenStates + 4 * plan.contextLength * numbers
      + widened
    let hessians = inputSizes.map { 8 * $0 * $0 }
    let tiles = inputSizes.map { 4 * threadCount * min($0, 512) * min($0, 512) }
    let packingHead = Self.programByteCount + packing(threadCount: threadCount)
    let calibrating =
      always
      + (plan.propagation == .corrected
        ? comparing(threadCount: threadCount) : (hessians + tiles).reduce(0, +))
    let decomposing = always + decomposing(hessians, threadCount: threadCount)
    let advancing = always + 4 * layerWeights + 12 * h * max(q, f)
    let differentiating =
      plan.metric == .guided
      ? Self.programByteCount + self.differentiating(threadCount: threadCount) : 0
    let isHeadLast = packingHead > max(differentiating, calibrating, decomposing, advancing)
    return Memory(
      differentiating: differentiating, calibrating: calibrating, decomposing: decomposing,
      advancing: advancing,
      packingHead: packingHead,
      mappedFiles: sourceByteCount + compressedByteCount + embeddingByteCount
        + (isHeadLast ? headByteCount : -headSourceByteCount))
  }

  /// The weights of the tokens of all samples at four inputs of each layer.
  private var tokenWeightByteCount: Int {
    plan.metric == .guided
      ? 4 * LinearInput.allCases.count * configuration.layerCount * plan.sampleCount
        * plan.contextLength : 0
  }

  /// The bytes to run a sample backward through the model.
  ///
  /// With L layers and v tokens in the vocabulary, in the notation of `Memory`: the residual streams before all
  /// layers and five more, what a layer keeps (seven numbers of the width h, five of f, four of q and of k, for
  /// each token), blocks of 128 tokens in the attention of each thread; a layer's weights and the derivatives by
  /// them, and its largest matrix; the head, twice while it is read, and 128 rows of logits.
  private func differentiating(threadCount: Int) -> Int {
    let (h, f, v) = (
      configuration.hiddenSize, configuration.intermediateSize, configuration.vocabularySize
    )
    let (q, k) = (configuration.queryWidth, configuration.keyValueWidth)
    let numbers =
      (configuration.layerCount + 13) * h + 5 * f + 4 * q + 4 * k + configuration.headSize
      + 256 * threadCount
    let layer = 2 * layerWeights + h * max(q, f)
    return tokenWeightByteCount
      + 4 * (plan.contextLength * numbers + layer + 2 * v * h + 128 * (v + 2 * h))
  }

  /// The windows that the cost of the embedding is measured on.
  private var embeddingWindows: EmbeddingWindows {
    EmbeddingWindows(sampleCount: plan.sampleCount, contextLength: plan.contextLength)
  }

  /// The bytes to pack the head or the embedding, and to measure what the embedding costs.
  private func packing(threadCount: Int) -> Int {
    let (h, vocabulary) = (configuration.hiddenSize, configuration.vocabularySize)
    var result = 0
    if headByteCount > 0 { result = (plan.headFormat == .int8 ? 13 : 6) * vocabulary * h }
    guard embeddingByteCount > 0 else { return result }
    let tokens = embeddingWindows.length
    let (q, k) = (configuration.queryWidth, configuration.keyValueWidth)
    let numbers = 4 * h + 2 * q + 2 * k + 2 * configuration.intermediateSize
    let cache = 2 * k * configuration.layerCount
    let widened = threadCount * (4 << 20)
    return max(
      result, (plan.embeddingFormat == .f16 ? 6 : 13) * vocabulary * h,
      3 * 128 * 4 * vocabulary + 2 * (4 * tokens * (numbers + cache) + widened))
  }

  /// The bytes to compare an input in both models, for the input that takes the most.
  private func comparing(threadCount: Int) -> Int {
    let (h, context) = (configuration.hiddenSize, plan.contextLength)
    return inputSizes.map { n in
      let tiles = 4 * threadCount * min(n, 512) * (min(n, 512) + min(h, 512))
      return max(
        8 * n * n + 16 * n * h + 4 * context * (n + h) + tiles, 16 * n * n + 20 * n * h)
    }.max() ?? 0
  }

  /// The bytes to decompose the matrix of a layer that takes the most, with what is kept for later inputs.
  private func decomposing(_ hessians: [Int], threadCount: Int) -> Int {
    var result = 0
    for (index, input) in LinearInput.allCases.enumerated() {
      // With corrections, each input is measured separately: its correction is kept instead of later
      // Hessians.
      let later =
        plan.propagation == .corrected
        ? 4 * configuration.hiddenSize
          * max(configuration.queryWidth, configuration.intermediateSize)
        : hessians[(index + 1)...].reduce(0, +)
      for matrix in matrices where input.matrices.contains(where: { $0.isNamed(matrix.name) }) {
        result = max(result, later + work(on: matrix, threadCount: threadCount))
      }
    }
    return result
  }

  /// The bytes to make the metric of a matrix or to decompose the matrix, whichever is more.
  private func work(on matrix: Matrix, threadCount: Int) -> Int {
    let (m, n, r) = (matrix.outputSize, matrix.inputSize, matrix.rank)
    let rows = min(m, RowParts(rowCount: m).rowsPerPart)
    var decomposing = 8 * n * n + 20 * m * n + 20 * r * (m + n) + 16 * threadCount * n * rows
    if r > 0, 3 * min(2 * r + 8, m) > m { decomposing += 28 * m * m }
    decomposing += plan.method.workingByteCount(matrix.shape)
    return max(16 * n * n, decomposing)
  }

  /// The states of all samples, of which at most `limit` bytes stay in memory.
  func stateSizes(limit: Int) -> SampleStateSizes {
    SampleStateSizes(
      configuration, sampleCount: plan.sampleCount, contextLength: plan.contextLength,
      plan.propagation, limit: limit)
  }

  /// How many bytes of states are kept in memory so that the peak is at most `memory`, if it can be.
  ///
  /// - Parameters:
  ///   - memory: The memory that the compression may use, or nil when all of it may be used.
  ///   - threadCount: The number of threads.
  /// - Returns: The bytes, 0 when not even the residual streams fit.
  public func hiddenStatesLimit(memory: Int?, threadCount: Int) -> Int {
    guard let memory else { return .max }
    let all = stateSizes(limit: .max)
    let candidates = [hiddenStateByteCount, all.streams + all.attended]
    return candidates.first {
      self.memory(hiddenStatesLimit: $0, threadCount: threadCount).peak <= memory
    } ?? 0
  }

  /// The bytes of all states of samples that there is use for.
  public var hiddenStateByteCount: Int { stateSizes(limit: .max).inMemory }

  /// Whether the residual streams of all samples stay in memory, not in a file.
  ///
  /// - Parameter limit: The most bytes of states in memory.
  /// - Returns: False also where the outputs of the heads are in a file.
  public func keepsHiddenStates(limit: Int) -> Bool { stateSizes(limit: limit).keepsStreams }

  /// The bytes that a run needs on disk at most: the result; the journal, which holds the matrices, the head
  /// and the embedding until all of them are there; the residual streams before two layers; and the states
  /// that are not kept in memory.
  public func diskByteCount(hiddenStatesLimit: Int) -> Int {
    let sizes = stateSizes(limit: hiddenStatesLimit)
    return byteCount + compressedByteCount + headByteCount + embeddingByteCount + 2 * sizes.streams
      + sizes.inFiles
  }

  /// An estimate of the duration of the compression, which may be wrong by a factor of two.
  ///
  /// - Parameter rate: The speed of large products in F32 on all threads, in operations per second,
  ///   multiplications and additions counted apart.
  /// - Returns: Seconds.
  public func seconds(rate: Double) -> Double {
    let operations = matrices.reduce(calibrationOperations + embeddingOperations) {
      $0 + self.operations(of: $1)
    }
    return operations / (rate * Self.shareOfRate)
  }

  /// The share of the rate of one large product that all steps together reach.
  ///
  /// Many steps are smaller products, products in F64, or no products.
  static var shareOfRate: Double { 0.5 }

  /// The operations of running all samples through all layers, and of what their Hessians take.
  ///
  /// A token takes a pass through the original layer and one through the compressed layer, n^2 for each Hessian
  /// and, with corrections, 2 h n for the `CrossMoment` of the two models.
  var calibrationOperations: Double {
    let (h, context) = (Double(configuration.hiddenSize), Double(plan.contextLength))
    let pass = passOperations
    let products = Double(inputSizes.reduce(0) { $0 + $1 * $1 })
    var sums = products
    if plan.propagation == .corrected { sums += 2 * h * Double(inputSizes.reduce(0, +)) }
    let passes =
      switch plan.propagation {
      case .original: pass
      case .compressed, .corrected: pass + compressedPassOperations
      }
    let tokens = Double(plan.sampleCount) * context
    // Forward, forward again for each layer, and backward, which takes twice as much.
    let guiding =
      plan.metric == .guided
      ? 4 * pass + 6 * Double(configuration.vocabularySize) * h / Double(configuration.layerCount)
      : 0
    // Where ranks are chosen, the samples run through the original model first.
    let choosing = plan.method.lowRank?.targetBits == nil ? 0 : pass + products
    return Double(configuration.layerCount)
      * (tokens * (passes + sums + choosing + guiding) + factorizationOperations)
  }

  /// The operations of one pass of a token through a layer: 2 for each weight, and the attention.
  var passOperations: Double { 2 * Double(layerWeights) + attentionOperations }

  /// The operations of attention for one token, 2 q T because a token sees half of the context on average,
  /// counted twice: attention has half the rate of large products.
  private var attentionOperations: Double {
    2 * 2 * Double(configuration.queryWidth) * Double(plan.contextLength)
  }

  /// One pass of a token through a compressed layer; packed matrices are multiplied at 2.5 times the rate of F32.
  private var compressedPassOperations: Double {
    2 * Double(layerWeights) / (plan.activationType == .int8 ? 2.5 : 1) + attentionOperations
  }

  /// The operations of factorising the Hessians of a layer, n^3 / 3 in F64 at half the rate.
  ///
  /// With corrections they are factorised twice, and two triangular systems are solved for h right sides, 2 h n^2.
  private var factorizationOperations: Double {
    let isCorrected = plan.propagation == .corrected
    return inputSizes.reduce(0) { sum, size in
      let n = Double(size)
      return sum + (isCorrected ? 2 : 1) * 2 * n * n * n / 3
        + (isCorrected ? 2 * n * n * Double(configuration.hiddenSize) : 0)
    }
  }

  /// The operations of measuring what the embedding costs: some tokens in two models.
  var embeddingOperations: Double {
    guard embeddingByteCount > 0 else { return 0 }
    let weights =
      layerWeights * configuration.layerCount
      + configuration.vocabularySize * configuration.hiddenSize
    return 2 * 2 * Double(weights) * Double(embeddingWindows.tokenCount)
  }

  /// The operations of decomposing a matrix (m, n) with L R of rank r.
  ///
  /// Every matrix takes the square of its weights, the two errors of rounding that it is compared with and one
  /// rounding, and two squares for the report; where it is corrected, 2 m n h for W K. The rest is
  /// `CompressionMethod.operations`.
  func operations(of matrix: Matrix) -> Double {
    let (m, n, r) = (Double(matrix.outputSize), Double(matrix.inputSize), Double(matrix.rank))
    var shape = matrix.shape
    // Without Q there is no grid.
    let grid = plan.method.quantization?.grid
    // The errors for the report are measured on all rows, or on a few tiles.
    let baseline = shape.rounding
    shape.operationsPerWeight = grid?.operationsPerWeight ?? 0
    var sum = baseline + 4 * shape.measuring + plan.method.operations(shape)
    if plan.propagation == .corrected { sum += 2 * m * n * Double(configuration.hiddenSize) }
    // Choosing ranks takes one more rounding, two spectra of up to eight times the rank, and a Gram matrix.
    if matrix.rank > 0, plan.method.lowRank?.targetBits != nil {
      sum +=
        shape.rounding + 4 * shape.measuring + 6 * m * n * n + 4 * m * m * n + 256 * m * m * r
    }
    return sum
  }
}

extension CompressionForecast.Matrix {
  /// The shape of the matrix and of its L R.
  var shape: MatrixShape {
    MatrixShape(outputSize: outputSize, inputSize: inputSize, rank: rank)
  }
}
