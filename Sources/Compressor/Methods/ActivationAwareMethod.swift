internal import DuetRuntime

/// Q alone, rounded to nearest, with scales searched for what their errors do to the outputs: the last step
/// of AWQ.
///
/// The weights have come with rescaled inputs, W diag(s), and the Hessian with them, diag(s)^-1 H diag(s)^-1,
/// where the plan rescales (`ChannelScaling`). What is left is AWQ's search of a clipping range for each group:
/// the one with the least
///
///     sum over columns c of a group of H_cc (w_c - q_c)^2,
///
/// the output error of a group whose inputs are taken to be uncorrelated. Where the plain squared error
/// gives less of tr((W - Q) H (W - Q)^T), that is taken.
///
/// Source: Lin et al., AWQ, arXiv:2306.00978.
struct ActivationAwareMethod: DecompositionMethod {
  static let hasQuantized = true
  static let hasLowRank = false

  let algebra: LinearAlgebra
  let plan: CompressionPlan
  let grid: any RoundingGrid

  func decompose(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, rank: Int,
    _ record: inout MatrixRecord
  ) throws(LinearAlgebraError) -> Decomposition {
    let (m, n) = (problem.weight.rowCount, problem.weight.columnCount)
    let rounding = FeedbackRounding(algebra, grid)
    var plain = plan.emptyQuantized(outputSize: m, inputSize: n)
    rounding.roundToNearest(problem.weight, into: &plain)
    let plainError = algebra.squaredError(of: plain, problem, metric)
    var weighted = plan.emptyQuantized(outputSize: m, inputSize: n)
    rounding.roundToNearest(
      problem.weight, importances: (0..<n).map { metric.hessian[$0, $0] }, into: &weighted)
    let weightedError = algebra.squaredError(of: weighted, problem, metric)
    record.method = plan.method.rawValue
    record.traces = [
      MatrixRecord.Trace(
        initialization: CompressionPlan.Initialization.zero.rawValue,
        errors: [plainError, weightedError].map { problem.relative($0) })
    ]
    let isPlain = plainError < weightedError
    return Decomposition(
      quantized: isPlain ? plain : weighted, factors: problem.noFactors,
      error: min(plainError, weightedError), initialization: .zero,
      trace: [plainError, weightedError])
  }
}
