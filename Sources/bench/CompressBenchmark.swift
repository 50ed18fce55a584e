import DuetCommandLine
import DuetCompressor
import DuetRuntime
import DuetSystem

/// The measurement of each compression step, compared with the speed of sgemm.
struct CompressBenchmark {
  /// A step that was timed.
  struct Row {
    let step: String
    let shape: String
    let seconds: Double
    /// The number of multiplications and additions of the step, or nil where it means little.
    var operations: Double?
    /// The share of the threads' time inside OpenBLAS, 0 to 1.
    let shareOfBLAS: Double
    /// The operations per second of sgemm, the higher of the values before and after the step.
    let limit: Double

    /// The operations per second; a multiplication with an addition counts as two.
    var rate: Double? { operations.map { $0 / seconds } }
  }

  private let algebra: LinearAlgebra
  private let plan: CompressionPlan
  private let clock = ContinuousClock()
  private(set) var rows: [Row] = []

  init(threadCount: Int, plan: CompressionPlan) {
    algebra = LinearAlgebra(WorkerPool(threadCount: threadCount))
    self.plan = plan
  }

  /// The operations per second of a product of 2048 x 2048 matrices in tiles, the best of three runs.
  func productRate() -> Double {
    let size = 2048
    let a = Matrix<Float>.random(size, size, seed: 1)
    var c = Matrix<Float>(rowCount: size, columnCount: size)
    var best = 0.0
    for _ in 0..<3 {
      let duration = clock.measure { algebra.multiply(a, a, transposesRight: true, into: &c) }
      best = max(best, 2 * Double(size * size * size) / (duration / .seconds(1)))
    }
    return best
  }

  /// Times `body`, and sgemm before and after it.
  private mutating func time(
    _ step: String, _ shape: String, operations: Double? = nil, _ body: () throws -> Void
  ) rethrows {
    let before = productRate()
    var duration = Duration.zero
    let inside = try BLASClock.seconds { duration = try clock.measure(body) }
    let seconds = duration / .seconds(1)
    rows.append(
      Row(
        step: step, shape: shape, seconds: seconds, operations: operations,
        shareOfBLAS: inside / (seconds * Double(algebra.pool.threadCount)),
        limit: max(before, productRate())))
  }

  /// Accumulates a Hessian and compresses a matrix (outputSize, inputSize) of random weights.
  ///
  /// Activations are Gaussian, and sixteen channels are thirty times as large, as in real models.
  mutating func run(outputSize: Int, inputSize: Int) throws {
    let shape = "\(outputSize) x \(inputSize)"
    let tokenCount = 4096
    var activations = Matrix<Float>.random(tokenCount, inputSize, seed: 2)
    for token in 0..<tokenCount {
      for channel in 0..<16 { activations[token, channel * (inputSize / 16)] *= 30 }
    }
    var accumulator = HessianAccumulator(
      size: inputSize, layer: 0, input: "benchmark", algebra)
    let span = activations.elements.span
    // A compression adds about sixty times as many tokens to the same sums, whose memory is then
    // already allocated; the first call allocates it here.
    try accumulator.add(span, stride: inputSize, tokenCount: tokenCount)
    // Only the upper triangle is computed: n^2 operations for a token.
    try time(
      "hessian of \(tokenCount) tokens", shape,
      operations: Double(inputSize * inputSize) * Double(tokenCount)
    ) {
      try accumulator.add(span, stride: inputSize, tokenCount: tokenCount)
    }
    var hessian = accumulator.finish()
    let rotation =
      plan.incoherence == .none
      ? nil
      : try MatrixRotation(
        sizes: [outputSize, inputSize], seed: plan.seed, KernelSet.standard, algebra)
    var metric: Metric?
    try time("rotate and factorise the Hessian", shape) { [algebra, plan] in
      metric = try Metric(
        &hessian.matrix, name: shape, damping: plan.damping,
        columnCount: plan.method.columnCount(inputSize: inputSize),
        rotation: rotation, algebra)
    }
    guard let metric = metric.take() else { return }
    var weight = Matrix<Float>.random(outputSize, inputSize, seed: 3)
    let problem = try WeightProblem(
      &weight, name: shape, metric: metric,
      outputRotation: plan.incoherence == .both ? rotation : nil, algebra)
    let options = plan.method.quantization ?? QuantizationOptions()
    var quantized = options.zeros(outputSize: outputSize, inputSize: inputSize)
    let rounding = FeedbackRounding(algebra, options.grid)
    time(
      "round with feedback", shape,
      operations: Double(outputSize) * Double(inputSize) * Double(inputSize)
    ) {
      rounding.round(problem.weight, feedback: metric.feedback, into: &quantized)
    }
    let rank = plan.rank(outputSize: outputSize, inputSize: inputSize)
    for start in LowRankInitialization.allCases where start != .auto && start != .zero {
      try time("start of L R: \(start.rawValue)", shape) { [algebra, plan] in
        _ = try LowRankStart(algebra).factors(
          start, of: problem, metric, rank: rank,
          channelCount: plan.method.outlierChannelCount(rank: rank, inputSize: inputSize))
      }
    }
    try time("decompose and pack", shape) { [algebra, plan] in
      _ = try MatrixCompressor(algebra, plan).compress(problem, metric)
    }
  }

  /// The seconds of a step, or 0.
  private func seconds(_ step: String, _ shape: String) -> Double {
    rows.first { $0.step == step && $0.shape == shape }?.seconds ?? 0
  }

  /// The estimated hours for Llama-2-7B, from the rows of 4096 x 4096 and 4096 x 11008.
  ///
  /// A layer has four matrices of 4096 x 4096; two of 11008 x 4096, which count as 4096 x 4096 times
  /// the ratio of the rows; and one of 4096 x 11008. It has three Hessians of 4096 inputs and one of
  /// 11008. 128 samples of 2048 tokens run through 202 million weights at the rate of sgemm: twice, or,
  /// when matrices are corrected, 5.3 times as in `CompressionForecast`, plus the moments of 4096
  /// differences.
  var hours: Double? {
    let (square, wide) = ("4096 x 4096", "4096 x 11008")
    let decompose = "decompose and pack"
    guard seconds(decompose, square) > 0, seconds(decompose, wide) > 0,
      let limit = rows.map(\.limit).max()
    else { return nil }
    let tokens = 128.0 * 2048
    let hessian = "hessian of 4096 tokens"
    let metric = "rotate and factorise the Hessian"
    let decomposing =
      seconds(decompose, square) * (4 + 2 * 11008.0 / 4096) + seconds(decompose, wide)
    let factorising = 3 * seconds(metric, square) + seconds(metric, wide)
    let accumulating = (3 * seconds(hessian, square) + seconds(hessian, wide)) * tokens / 4096
    let isCorrected = plan.propagation == .corrected
    let forward = (isCorrected ? 5.3 : 2) * 2 * 202e6 * tokens / limit
    let moments = isCorrected ? 2 * 4096 * (3 * 4096 + 11008) * tokens / limit : 0
    return 32 * (decomposing + factorising + accumulating + forward + moments) / 3600
  }
}

extension Matrix where Element == Float {
  /// A matrix of approximately Gaussian numbers of variance 1: sums of four uniform numbers.
  fileprivate static func random(_ rowCount: Int, _ columnCount: Int, seed: UInt64) -> Matrix {
    var generator = RandomGenerator(seed: seed)
    var result = Matrix(rowCount: rowCount, columnCount: columnCount)
    for index in 0..<rowCount * columnCount {
      let bits = generator.next()
      var sum: Float = 0
      for part in 0..<4 { sum += Float(bits >> (16 * UInt64(part)) & 0xFFFF) * 0x1p-16 - 0.5 }
      // The variance of a uniform number from -1/2 to 1/2 is 1/12, and of the sum of four 1/3.
      result.elements[index] = sum * Float(3).squareRoot()
    }
    return result
  }
}
