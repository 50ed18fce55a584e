import DuetCompressor
import DuetRuntime
import Testing

/// The choice of ranks under a number of bits.
@Suite("RankAllocation")
struct RankAllocationTests {
  private static func plan(
    _ bits: Double, _ change: (inout FlatPlan) -> Void = { _ in }
  ) -> FlatPlan {
    var plan = FlatPlan()
    plan.format = .int2
    plan.groupSize = .columns128
    plan.targetBits = bits
    change(&plan)
    return plan
  }

  /// A matrix whose spectra fall like powers.
  private static func matrix(
    _ name: String, _ m: Int, _ n: Int, error: Double, decay: Double
  ) -> MatrixAnalysis {
    var result = MatrixAnalysis()
    (result.name, result.outputSize, result.inputSize) = (name, m, n)
    result.quantizedError = error
    var energies: [Double] = []
    var power = 1.0
    for _ in 0..<min(m, n) {
      energies.append(power)
      power *= decay
    }
    let sum = energies.reduce(0, +)
    result.weightEnergies = energies.map { $0 / sum }
    result.weightNorms = energies.map { $0 / sum }
    result.errorEnergies = energies.map { $0 / sum }
    return result
  }

  private static let matrices = [
    matrix("a", 256, 256, error: 0.2, decay: 0.9), matrix("b", 128, 256, error: 0.1, decay: 0.99),
    matrix("c", 512, 256, error: 0.3, decay: 0.97), matrix("d", 256, 512, error: 0.25, decay: 0.8),
  ]

  private func bits(
    _ ranks: [String: Int], _ plan: FlatPlan, shared: Int
  ) throws -> Double {
    var plan = plan
    plan.moduleRanks = ranks
    let format = plan.made.compressedFormat
    var (bytes, weights) = (shared, 0)
    for matrix in Self.matrices {
      let (m, n) = (matrix.outputSize, matrix.inputSize)
      bytes +=
        (format.quantizedLayout(outputSize: m, inputSize: n)?.byteCount() ?? 0)
        + format.factors.byteCount(
          rank: try #require(ranks[matrix.name]), outputSize: m, inputSize: n)
      weights += m * n
    }
    return 8 * Double(bytes) / Double(weights)
  }

  private func squaredError(_ ranks: [String: Int], _ plan: FlatPlan) throws -> Double {
    try Self.matrices.reduce(0) { sum, matrix in
      let errors = plan.made.method.expectedErrors(matrix)
      let error = errors[try #require(ranks[matrix.name])]
      return sum + error * error
    }
  }

  @Test(
    "ranks take no more bits than asked, and no step more fits",
    arguments: [2.25, 2.5, 3, 4.123, 8], FactorFormat.allCases)
  func budget(target: Double, factors: FactorFormat) throws {
    let plan = Self.plan(target) { $0.factorFormat = factors }
    let shared = 4096
    let ranks = try RankAllocation(plan.made).ranks(for: Self.matrices, sharedByteCount: shared)
    #expect(try bits(ranks, plan, shared: shared) <= target)
    for matrix in Self.matrices {
      let rank = try #require(ranks[matrix.name])
      #expect(rank >= 0 && rank <= min(matrix.outputSize, matrix.inputSize))
      guard rank < min(matrix.outputSize, matrix.inputSize) else { continue }
      var more = ranks
      more[matrix.name] = min(
        rank + (factors == .f16 ? 4 : 16), matrix.outputSize, matrix.inputSize)
      #expect(try bits(more, plan, shared: shared) > target, "\(matrix.name) has room")
    }
  }

  @Test("no other ranks with as many bytes are expected to be better")
  func optimum() throws {
    let plan = Self.plan(2.7)
    let ranks = try RankAllocation(plan.made).ranks(for: Self.matrices, sharedByteCount: 0)
    let own = try squaredError(ranks, plan)
    let used = try bits(ranks, plan, shared: 0)
    // All combinations of ranks in steps of 16 up to 112.
    let steps = stride(from: 0, through: 112, by: 16)
    var least = Double.infinity
    for a in steps {
      for b in steps {
        for c in steps {
          for d in steps {
            let other = ["a": a, "b": b, "c": c, "d": d]
            guard try bits(other, plan, shared: 0) <= used else { continue }
            least = min(least, try squaredError(other, plan))
          }
        }
      }
    }
    // Sums of the same numbers in another order.
    #expect(own <= least * (1 + 1e-12))
  }

  @Test("more bits never make a rank smaller")
  func monotone() throws {
    var before = ["a": 0, "b": 0, "c": 0, "d": 0]
    var sum = 0
    for target in [2.2, 2.4, 2.6, 2.8, 3.0, 3.5] {
      let ranks = try RankAllocation(Self.plan(target).made).ranks(
        for: Self.matrices, sharedByteCount: 0)
      let total = ranks.values.reduce(0, +)
      #expect(total >= sum)
      (before, sum) = (ranks, total)
    }
    #expect(before["d"] ?? 0 < before["c"] ?? 0, "a spectrum that falls fast needs few components")
  }

  @Test("without Q every matrix gets at least a block")
  func alone() throws {
    let plan = Self.plan(1.2) { $0.method = .lordq }
    let ranks = try RankAllocation(plan.made).ranks(for: Self.matrices, sharedByteCount: 0)
    #expect(ranks.values.allSatisfy { $0 >= 32 && $0 % 32 == 0 })
    #expect(try bits(ranks, plan, shared: 0) <= 1.2)
  }

  @Test("bits that Q alone exceeds are refused with the least that will do")
  func refusal() throws {
    let plan = Self.plan(2.05)
    #expect(throws: CompressionDataError.budget(targetBits: 2.05, leastBits: 2.125)) {
      _ = try RankAllocation(plan.made).ranks(for: Self.matrices, sharedByteCount: 0)
    }
  }

  // MARK: - What is expected of a rank

  @Test("expected errors are those of their formulas")
  func expectations() throws {
    var matrix = MatrixAnalysis()
    (matrix.outputSize, matrix.inputSize) = (4, 8)
    matrix.quantizedError = 0.5
    matrix.weightEnergies = [0.5, 0.25, 0.125, 0.125]
    matrix.weightNorms = [0.9, 0.05, 0.03, 0.02]
    matrix.errorEnergies = [0.5, 0.25, 0.125, 0.0625]
    (matrix.channelCount, matrix.channelRemainder, matrix.channelNormRemainder) = (1, 0.25, 0.75)
    func squares(_ start: MatrixAnalysis.Start) -> [Double] {
      matrix.expectedErrors(start).map { $0 * $0 }
    }
    func expect(_ actual: [Double], _ expected: [Double]) {
      #expect(
        zip(actual, expected).allSatisfy { abs($0 - $1) < 1e-12 } && actual.count == expected.count,
        "\(actual)")
    }
    expect(squares(.zero), [1, 0.5, 0.25, 0.125, 0.0625].map { $0 / 4 })
    // Rank 2: 1 and 1 leave 0.1 * 0.5, 2 and 0 leave 0.05, 0 and 2 leave 0.25; rank 3: 3 and 0 leave 0.02.
    expect(squares(.lowRank), [1, 0.1, 0.05, 0.02, 0].map { $0 / 4 })
    expect(squares(.odlri), [1, 0.75, 0.375, 0.1875, 0.09375].map { $0 / 4 })
    expect(squares(.alone), [1, 0.5, 0.25, 0.125, 0])
  }

  @Test("expected errors are near measured ones", arguments: SceneGolden.names)
  func measured(name: String) throws {
    let algebra = LinearAlgebra(WorkerPool(threadCount: 2))
    let scene = try SceneGolden(name)
    var plan = Self.plan(3)
    (plan.rank, plan.outlierChannelCount) = (32, 8)
    let rotation = try MatrixRotation(sizes: [192, 256], seed: 7, .standard, algebra)
    let metric = try Numerics.metric(scene.hessian, rotation: rotation, algebra)
    let problem = try Numerics.problem(scene.weight, metric, algebra, outputRotation: rotation)
    let moments = (0..<256).map { scene.hessian[$0, $0] }
    let analysis = try MatrixAnalysis(
      problem, metric, moments: moments, plan.made, count: 192, algebra)
    let options = try #require(plan.made.method.quantization)

    /// The relative error of rounding what L R leaves.
    func error(without lowRank: borrowing Matrix<Float>) -> Double {
      var rest = problem.weight.copy()
      algebra.add(lowRank, scale: -1, to: &rest)
      var quantized = options.zeros(outputSize: 192, inputSize: 256)
      let square = FeedbackRounding(algebra, options.grid).round(
        rest, feedback: metric.feedback, into: &quantized)
      return (square / problem.dampedSquare).squareRoot()
    }
    // 6 to 19 % were measured on 21 matrices of a real model. In S3 eight inputs have weights four times as large, a
    // third of |W|_F^2. There the error falls further without them, by a factor of 0.62 that was measured and is not
    // explained by the scale: the formula expects a larger error there than is measured.
    let least = name == "S3" ? 0.6 : 0.8
    var wrong = 1.0
    for rank in [2, 8, 32] {
      let factors = try LowRankApproximation(algebra).factors(
        of: problem.weight, hessian: metric.hessian, rank: rank)
      let measured = error(
        without: algebra.product(
          factors.leftTransposed, transposesLeft: true, factors.right))
      let left = 1 - analysis.weightNorms.prefix(rank).reduce(0, +)
      let ratio = measured / (analysis.quantizedError * left.squareRoot())
      #expect(ratio > least && ratio < 1.25, "\(name), rank \(rank): \(ratio)")
      let energy = 1 - analysis.weightEnergies.prefix(rank).reduce(0, +)
      wrong = max(wrong, measured / (analysis.quantizedError * energy.squareRoot()))
    }
    // The share of the outputs' energy says something else: few directions of the outputs hold most of it.
    #expect(wrong > 1.5, "\(name): \(wrong)")
    var columns = Matrix<Float>(rowCount: 192, columnCount: 256)
    for row in 0..<192 {
      for channel in metric.ranking.prefix(8) { columns[row, channel] = scene.weight[row, channel] }
    }
    let rotated = try Numerics.problem(columns, metric, algebra, outputRotation: rotation)
    let ratio =
      error(without: rotated.weight)
      / (analysis.quantizedError * analysis.channelNormRemainder.squareRoot())
    #expect(ratio > least && ratio < 1.25, "\(name), channels: \(ratio)")
  }

  @Test(
    "an analysis finds the outliers, the spectrum and the error of rounding",
    arguments: SceneGolden.names)
  func analysis(name: String) throws {
    let algebra = LinearAlgebra(WorkerPool(threadCount: 2))
    let scene = try SceneGolden(name)
    var plan = Self.plan(3)
    (plan.rank, plan.outlierChannelCount) = (32, 8)
    let metric = try Numerics.metric(scene.hessian, algebra)
    let problem = try Numerics.problem(scene.weight, metric, algebra)
    let moments = (0..<256).map { scene.hessian[$0, $0] }
    let own = try MatrixAnalysis(problem, metric, moments: moments, plan.made, count: 192, algebra)
    // Eight channels at thirty times the scale have nine hundred times the second moment; in S4 scales
    // are spread so widely that others exceed ten times the median too.
    if name != "S4" { #expect(own.outlierChannels.sorted() == scene.outliers) }
    #expect(scene.outliers.allSatisfy(own.outlierChannels.contains))
    // All eigenvalues of W H W^T, in double precision.
    var damped = algebra.widened(metric.hessian)
    for i in 0..<256 { for j in 0..<i { damped[i, j] = damped[j, i] } }
    let weight = algebra.widened(problem.weight)
    var gram = algebra.product(
      algebra.product(weight, damped), weight, transposesRight: true)
    let values = try algebra.eigenvectors(&gram)
    let sum = values.reduce(0, +)
    #expect(own.weightEnergies.count == 192)
    for (actual, expected) in zip(own.weightEnergies, values) {
      // Quotients of sums in single precision, relative to the whole.
      #expect(abs(actual - max(0, expected) / sum) < 1e-5)
    }
    let squares = values.reduce(0) { $0 + $1 * $1 }
    #expect(abs(own.effectiveRank / (sum * sum / squares) - 1) < 1e-4)
    let rounded = try MatrixCompressor(
      algebra,
      Self.plan(3) { ($0.method, $0.targetBits) = (.gptq, nil) }.withoutRefinement.made
    ).compress(problem, metric).record
    #expect(abs(own.quantizedError / rounded.dampedRelativeError - 1) < 1e-4)
  }
}

extension FlatPlan {
  /// The plan without rounds of coordinate descent.
  fileprivate var withoutRefinement: FlatPlan {
    var plan = self
    plan.refinementRounds = 0
    return plan
  }
}
