internal import DuetRuntime

/// Q alone, rounded with feedback: GPTQ, and in a rotated basis on the lattice QuIP# without its training.
///
/// Minimises tr((W - Q) H (W - Q)^T) column by column. Reads `format`, `groupSize`, `grid`, `scaleFit`,
/// `ordersByActivation` and `refinementRounds`, of coordinate descent afterwards.
///
/// Source: Frantar et al., arXiv:2210.17323; Chee et al., arXiv:2307.13304.
struct FeedbackRoundingMethod: DecompositionMethod {
  static let hasQuantized = true
  static let hasLowRank = false

  let algebra: LinearAlgebra
  let plan: CompressionPlan
  let grid: any RoundingGrid

  func decompose(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, rank: Int,
    _ record: inout MatrixRecord
  ) throws(LinearAlgebraError) -> Decomposition {
    record.method = plan.method.rawValue
    let result =
      plan.ordersByActivation
      ? try orderedByActivation(problem, metric)
      : try Alternation(algebra, plan, grid: grid).decompose(
        problem, metric, rank: 0, from: .zero)
    record.traces = [
      MatrixRecord.Trace(
        initialization: result.initialization.rawValue,
        errors: result.trace.map { problem.relative($0) })
    ]
    return result
  }

  /// Rounds the columns whose inputs are largest first, while all others can still make up for them.
  ///
  /// A group is what it is without: that is "static groups", which leaves the order out of the file.
  private func orderedByActivation(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric
  ) throws(LinearAlgebraError) -> Decomposition {
    let n = metric.size
    let order = (0..<n).sorted {
      let (left, right) = (metric.hessian[$0, $0], metric.hessian[$1, $1])
      return left == right ? $0 < $1 : left > right
    }
    var ordered = Matrix<Double>(rowCount: n, columnCount: n)
    let (source, target) = unsafe (metric.hessian.pointer, ordered.pointer)
    algebra.pool.run(n) { row, _ in
      for column in 0..<n {
        let pair = unsafe (
          source[order[row] * n + order[column]], source[order[column] * n + order[row]]
        )
        unsafe target[row * n + column] = (Double(pair.0) + Double(pair.1)) / 2
      }
    }
    let feedback = try FeedbackFactor(&ordered, algebra)
    var quantized = plan.emptyQuantized(outputSize: problem.weight.rowCount, inputSize: n)
    let rounding = FeedbackRounding(algebra, grid)
    var error = rounding.round(
      problem.weight, feedback: feedback, order: order, into: &quantized)
    var trace = [error]
    if plan.refinementRounds > 0 {
      error -= rounding.polish(
        problem.weight, hessian: metric.hessian,
        sweeps: plan.refinementRounds * Alternation.sweeps, &quantized)
      trace.append(error)
    }
    return Decomposition(
      quantized: quantized, factors: problem.noFactors, error: error, initialization: .zero,
      trace: trace)
  }
}
