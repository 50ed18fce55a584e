internal import DuetRuntime

/// Q rounded to nearest, then repaired by one L R: QERA and LQER.
///
///     Q     <- round(W)          to nearest
///     L, R  <- fit(W - Q)        in the metric H (QERA-exact), or in its diagonal (LQER, QERA-approx)
///
/// The diagonal is that of E[x x^T]; LQER itself takes means of magnitudes. Reads what a plan says of Q,
/// and `factorFormat`, `factorRounding`, `innerIterations`.
///
/// Source: Zhang et al., QERA, arXiv:2410.06040; Zhang et al., LQER, arXiv:2402.02446.
struct RepairMethod: DecompositionMethod {
  static let hasQuantized = true
  static let hasLowRank = true

  let algebra: LinearAlgebra
  let plan: CompressionPlan
  let grid: any RoundingGrid

  func decompose(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, rank: Int,
    _ record: inout MatrixRecord
  ) throws(LinearAlgebraError) -> Decomposition {
    record.method = plan.method.rawValue
    var quantized = plan.emptyQuantized(
      outputSize: problem.weight.rowCount, inputSize: metric.size)
    FeedbackRounding(algebra, grid).roundToNearest(problem.weight, into: &quantized)
    let before = algebra.squaredError(of: quantized, problem, metric)
    if rank == 0 {
      record.traces = [
        MatrixRecord.Trace(
          initialization: CompressionPlan.Initialization.zero.rawValue,
          errors: [problem.relative(before)])
      ]
      return Decomposition(
        quantized: quantized, factors: problem.noFactors, error: before, initialization: .zero,
        trace: [before])
    }
    let fitting = LowRankFitting(algebra, plan)
    let factors: StoredFactors
    if plan.method == .lqer {
      let diagonal = try Metric(diagonalOf: metric, algebra)
      factors = try fitting.repair(quantized, problem, diagonal, rank: rank).factors.copy()
    } else {
      factors = try fitting.repair(quantized, problem, metric, rank: rank).factors.copy()
    }
    var result = Decomposition(
      quantized: quantized, factors: factors, error: 0, initialization: .zero, trace: [before])
    result.error = algebra.square(
      result.residual(of: problem.weight, algebra), in: metric.hessian)
    result.trace.append(result.error)
    record.traces = [
      MatrixRecord.Trace(
        initialization: CompressionPlan.Initialization.zero.rawValue,
        errors: result.trace.map { problem.relative($0) })
    ]
    return result
  }
}

extension LowRankFitting {
  /// The fitting that a plan asks for.
  init(_ algebra: LinearAlgebra, _ plan: CompressionPlan) {
    self.init(
      algebra, plan.factorStorage, rounding: plan.factorRounding,
      iterations: plan.innerIterations)
  }

  /// L R near W - Q.
  ///
  /// - Returns: The factors, with their error in the given metric.
  /// - Throws: `LinearAlgebraError`.
  func repair(
    _ quantized: borrowing QuantizedMatrix, _ problem: borrowing WeightProblem,
    _ metric: borrowing Metric, rank: Int
  ) throws(LinearAlgebraError) -> FittedFactors {
    var residual = problem.weight.copy()
    algebra.add(quantized.values, scale: -1, to: &residual)
    return try fit(
      residual, square: algebra.square(residual, in: metric.hessian), metric, rank: rank)
  }
}
