internal import DuetRuntime

/// Q + L R in one go, the rank split between what is preserved and what is repaired: SRR.
///
///     k        as `RankSplit` has it
///     Q     <- round(W - P)          with feedback; P the best approximation of W of rank k
///     L, R  <- fit(W - Q)            of rank r, in the metric H
///
/// The fit of all r components answers for P too: it is the best of rank r beside this Q, so no worse than P
/// and a repair of rank r - k apart. Reads what a plan says of Q, and `factorFormat`, `factorRounding`,
/// `innerIterations`.
///
/// Source: SRR, arXiv:2602.02001.
struct SplitRankMethod: DecompositionMethod {
  static let hasQuantized = true
  static let hasLowRank = true

  let algebra: LinearAlgebra
  let plan: CompressionPlan
  let grid: any RoundingGrid

  func decompose(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, rank: Int,
    _ record: inout MatrixRecord
  ) throws(LinearAlgebraError) -> Decomposition {
    if rank == 0 {
      return try FeedbackRoundingMethod(algebra: algebra, plan: plan, grid: grid).decompose(
        problem, metric, rank: 0, &record)
    }
    let preserved = try RankSplit(algebra).preservedRank(
      of: problem.weight, hessian: metric.hessian, rank: rank)
    let first = try LowRankApproximation(algebra).factors(
      of: problem.weight, hessian: metric.hessian, rank: preserved)
    var quantized = plan.emptyQuantized(
      outputSize: problem.weight.rowCount, inputSize: metric.size)
    FeedbackRounding(algebra, grid).round(
      first.subtracted(from: problem.weight, algebra), feedback: metric.feedback,
      into: &quantized)
    let fitted = try LowRankFitting(algebra, plan).repair(quantized, problem, metric, rank: rank)
    record.method = plan.method.rawValue
    record.preservedRank = preserved
    record.traces = [
      MatrixRecord.Trace(
        initialization: CompressionPlan.Initialization.srr.rawValue,
        errors: [problem.relative(fitted.error)])
    ]
    return Decomposition(
      quantized: quantized, factors: fitted.factors.copy(), error: fitted.error,
      initialization: .srr, trace: [fitted.error])
  }
}
