import DuetCompressor
import DuetRuntime
import Testing

@Suite("Alternation")
struct AlternationTests {
  private let algebra = LinearAlgebra(WorkerPool(threadCount: 2))

  private func plan(_ change: (inout FlatPlan) -> Void = { _ in }) -> FlatPlan {
    var plan = FlatPlan()
    plan.method = .caldera
    plan.format = .int2
    plan.groupSize = .columns32
    plan.outerIterations = 3
    plan.innerIterations = 4
    plan.outlierChannelCount = 3
    change(&plan)
    return plan
  }

  private func decomposition(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, rank: Int,
    from initialization: LowRankInitialization = .zero, _ plan: FlatPlan
  ) throws -> Decomposition {
    try plan.alternation(algebra).decompose(
      problem, metric, rank: rank, from: initialization,
      channelCount: plan.made.method.outlierChannelCount(rank: rank, inputSize: metric.size))
  }

  private func error(
    _ decomposition: borrowing Decomposition, _ problem: borrowing WeightProblem,
    _ metric: borrowing Metric
  ) -> Double {
    var residual = Numerics.difference(problem.weight, decomposition.q.values)
    let product = decomposition.factors.product.copy()
    if product.rank > 0 {
      algebra.multiply(
        algebra.widened(product.leftTransposed), transposesLeft: true,
        algebra.widened(product.right), scale: -1, old: 1, into: &residual)
    }
    return Numerics.square(residual, algebra.widened(metric.hessian), algebra)
  }

  private static let plans: [@Sendable (inout FlatPlan) -> Void] = [
    { _ in },
    { $0.factorFormat = .f16 },
    { $0.factorRounding = .nearest },
    { $0.updateOrder = .lowRankFirst },
    { ($0.projectsMetric, $0.factorFormat) = (true, .f16) },
    { ($0.format, $0.groupSize) = (.e8p, .row) },
    { $0.refinementRounds = 0 },
  ]

  @Test(
    "the error is that of what is returned, and the least of the trace",
    arguments: plans.indices, [LowRankInitialization.zero, .lowRank, .svd, .odlri])
  func error(index: Int, initialization: LowRankInitialization) throws {
    let (m, n) = (41, 70)
    let metric = try Numerics.metric(Numerics.hessian(n, seed: 141, algebra), algebra)
    let problem = try Numerics.problem(
      Numerics.weights(m, n, seed: 142, deviation: 0.02), metric, algebra)
    let result = try decomposition(
      problem, metric, rank: 6, from: initialization, plan(Self.plans[index]))
    let expected = error(result, problem, metric)
    // Differences of sums in single precision: 2^-24 of tr(W H W^T) in each of some steps.
    #expect(abs(result.error - expected) < 3e-6 * problem.dampedSquare)
    #expect(result.error == result.runs[0].errors.min())
    #expect(result.runs.map(\.start) == [initialization.rawValue])
    let rounded = try decomposition(problem, metric, rank: 0, plan(Self.plans[index]))
    #expect(result.error < rounded.error, "a low-rank part helps")
  }

  @Test("the start svd leaves the least that a matrix of its rank can leave, whatever the metric")
  func startsFromTheSingularValues() throws {
    let (m, n, rank) = (20, 33, 5)
    let metric = try Numerics.metric(Numerics.hessian(n, seed: 148, algebra), algebra)
    let problem = try Numerics.problem(Numerics.weights(m, n, seed: 149), metric, algebra)
    let start = try LowRankStart(algebra).factors(
      .svd, of: problem, metric, rank: rank, channelCount: 0)
    let rest = start.subtracted(from: problem.weight, algebra)
    let wide = algebra.widened(problem.weight)
    var gram = algebra.product(wide, wide, transposesRight: true)
    // The squares of the singular values, largest first.
    let squares = try algebra.eigenvectors(&gram)
    let least = squares.dropFirst(rank).reduce(0, +)
    // The factors are in single precision: 2^-24 of each number, and 33 terms in a product.
    #expect(abs(algebra.dot(rest, rest) - least) < 33 * 0x1p-24 * squares.reduce(0, +))
    #expect(least < 0.9 * squares.reduce(0, +))
  }

  @Test("rank 0 is rounding with feedback", arguments: [WeightFormat.int2, .int4, .e8p])
  func noRank(format: WeightFormat) throws {
    let (m, n) = (33, 64)
    let metric = try Numerics.metric(Numerics.hessian(n, seed: 143, algebra), algebra)
    let problem = try Numerics.problem(Numerics.weights(m, n, seed: 144), metric, algebra)
    let plan = plan { ($0.format, $0.refinementRounds) = (format, 0) }
    let result = try decomposition(problem, metric, rank: 0, plan)
    var q = QuantizedMatrix(result.q.layout)
    let rounding = FeedbackRounding(algebra, Numerics.grid(format))
    let error = rounding.round(problem.weight, feedback: metric.feedback, into: &q)
    #expect(result.error == error && result.runs[0].errors == [error])
    Numerics.expectIdentical(result.q.values, q.values)
    Numerics.expectIdentical(result.q.scales, q.scales)
    #expect(result.factors.rank == 0)
    // Refined, it is what coordinate descent makes of that.
    let refined = try decomposition(
      problem, metric, rank: 0, self.plan { ($0.format, $0.refinementRounds) = (format, 1) })
    let gain = rounding.polish(problem.weight, hessian: metric.hessian, sweeps: 2, &q)
    #expect(refined.error == error - gain)
    Numerics.expectIdentical(refined.q.values, q.values)
  }

  @Test("refinement is never worse", arguments: 0..<6)
  func refinement(seed: Int) throws {
    let (m, n) = (30, 50)
    let metric = try Numerics.metric(
      Numerics.hessian(n, seed: UInt64(150 + seed), algebra), algebra)
    let problem = try Numerics.problem(
      Numerics.weights(m, n, seed: UInt64(160 + seed)), metric, algebra)
    var before = Double.infinity
    for rounds in [0, 1, 4] {
      let result = try decomposition(
        problem, metric, rank: 4, plan { $0.refinementRounds = rounds })
      #expect(result.error <= before)
      before = result.error
    }
  }

  @Test("full rank in half precision leaves next to nothing")
  func fullRank() throws {
    let (m, n) = (16, 40)
    let metric = try Numerics.metric(Numerics.hessian(n, seed: 145, algebra), algebra)
    let problem = try Numerics.problem(Numerics.weights(m, n, seed: 146), metric, algebra)
    let result = try decomposition(
      problem, metric, rank: 16, plan { $0.factorFormat = .f16 })
    let rounded = try decomposition(problem, metric, rank: 0, plan())
    // L R stands for W - Q, whose square is the error of Q alone. R makes up for the rounding of L, so
    // that its own is left: 2^-24 / 3 = 2e-8 of the square of each number. Feedback put W - Q where H is
    // small and rounding R does not, which is worth a factor of two to three, and components of
    // different sizes are added, ten at most.
    #expect(error(result, problem, metric) < 6e-7 * rounded.error)
  }

  @Test("a matrix of zeros is decomposed into zeros", arguments: [WeightFormat.int2, .e8p])
  func zeros(format: WeightFormat) throws {
    let metric = try Numerics.metric(Numerics.hessian(32, seed: 147, algebra), algebra)
    let problem = try Numerics.problem(
      Matrix<Float>(rowCount: 20, columnCount: 32), metric, algebra)
    for factors in FactorFormat.allCases {
      let result = try decomposition(
        problem, metric, rank: 3, plan { ($0.format, $0.factorFormat) = (format, factors) })
      #expect(result.error == 0)
      #expect(Numerics.largest(algebra.widened(result.q.values)) == 0)
    }
  }
}

extension Decomposition {
  /// A copy of Q, which an alternation always has.
  fileprivate var q: QuantizedMatrix {
    switch quantized {
    case .none: preconditionFailure("an alternation without Q")
    case .some(let quantized): quantized.copy()
    }
  }
}
