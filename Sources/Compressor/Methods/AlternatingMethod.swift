internal import DuetRuntime

/// Q + L R by alternation, from the starts that the plan asks for: CALDERA and ODLRI.
///
/// Minimises tr((W - Q - L R) H (W - Q - L R)^T). Reads everything that a plan says of Q and of L R.
///
/// Source: Saha et al., CALDERA, arXiv:2405.18886; Cho et al., ODLRI, arXiv:2506.02077.
struct AlternatingMethod: DecompositionMethod {
  static let hasQuantized = true
  static let hasLowRank = true

  let algebra: LinearAlgebra
  let plan: CompressionPlan
  let grid: any RoundingGrid

  func decompose(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, rank: Int,
    _ record: inout MatrixRecord
  ) throws(LinearAlgebraError) -> Decomposition {
    let alternation = Alternation(algebra, plan, grid: grid)
    var best: Decomposition?
    var bestError = Double.infinity
    for initialization in plan.initializations(rank: rank) {
      let candidate = try alternation.decompose(problem, metric, rank: rank, from: initialization)
      record.traces.append(
        MatrixRecord.Trace(
          initialization: initialization.rawValue,
          errors: candidate.trace.map { problem.relative($0) }))
      // The first one is taken whatever its error is: it is checked later.
      if record.traces.count == 1 || candidate.error < bestError {
        bestError = candidate.error
        record.method = rank == 0 ? plan.method.rawValue : "\(plan.method) \(initialization)"
        if rank > 0, initialization == .odlri {
          let count = plan.channelCount(rank: rank, inputSize: metric.size)
          record.outlierChannels = metric.ranking.prefix(count).sorted()
        } else {
          record.outlierChannels = []
        }
        best = consume candidate
      }
    }
    guard let result = best.take() else { throw .noConvergence(info: 0) }
    return result
  }
}
