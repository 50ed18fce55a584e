internal import DuetRuntime

/// L R alone, found in blocks of components, each rounded before the next is found: LoRDQ.
///
///     A <- W
///     for every block of b components:
///         L_b, R_b <- fit(A)          in the metric H: the closed form, rounded; L is solved anew for the
///                                     rounded R and R for the rounded L, `innerIterations` times
///         A <- A - L_b R_b            so the next block answers for truncation and rounding
///
/// There is no Q. The error of exact factors of rank r is the tail of the spectrum of W H W^T behind r.
/// Reads `rank`, `factorFormat`, `factorBlockSize`, `factorRounding` and `innerIterations`.
///
/// Source: the abstract and reviews of "LoRDQ" (OpenReview S7jGYTATSw); its algorithm was never published, so
/// the steps inside a block are ours, those of LPLR in arXiv:2405.18886.
struct FactorsOnlyMethod: DecompositionMethod {
  static let hasQuantized = false
  static let hasLowRank = true

  let algebra: LinearAlgebra
  let plan: CompressionPlan
  let grid: any RoundingGrid

  func decompose(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, rank: Int,
    _ record: inout MatrixRecord
  ) throws(LinearAlgebraError) -> Decomposition {
    let fitting = LowRankFitting(algebra, plan)
    let block = plan.factorBlockSize.columnCount ?? rank
    var residual = problem.weight.copy()
    var error = algebra.square(residual, in: metric.hessian)
    var factors = problem.noFactors
    var trace: [Double] = []
    for start in stride(from: 0, to: rank, by: block) {
      let fitted = try fitting.fit(
        residual, square: error, metric, rank: min(block, rank - start))
      factors = factors.appending(fitted.factors)
      residual = fitted.factors.product.subtracted(from: residual, algebra)
      // Not by the difference of large numbers that the fit has it from.
      error = algebra.square(residual, in: metric.hessian)
      trace.append(error)
    }
    record.method = plan.method.rawValue
    record.traces = [
      MatrixRecord.Trace(
        initialization: CompressionPlan.Initialization.zero.rawValue,
        errors: trace.map { problem.relative($0) })
    ]
    return Decomposition(
      quantized: nil, factors: factors, error: error, initialization: .zero, trace: trace)
  }
}
