internal import DuetRuntime

/// Q alone, every weight rounded to the nearest value: RTN.
///
/// Minimises |W - Q|, knows nothing of activations. Reads `format`, `groupSize`, `grid`, `scaleFit`.
struct RoundToNearestMethod: DecompositionMethod {
  static let hasQuantized = true
  static let hasLowRank = false

  let algebra: LinearAlgebra
  let plan: CompressionPlan
  let grid: any RoundingGrid

  func decompose(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, rank: Int,
    _ record: inout MatrixRecord
  ) throws(LinearAlgebraError) -> Decomposition {
    var quantized = plan.emptyQuantized(
      outputSize: problem.weight.rowCount, inputSize: problem.weight.columnCount)
    FeedbackRounding(algebra, grid).roundToNearest(problem.weight, into: &quantized)
    let error = algebra.squaredError(of: quantized, problem, metric)
    record.method = plan.method.rawValue
    return Decomposition(
      quantized: quantized, factors: problem.noFactors, error: error, initialization: .zero,
      trace: [error])
  }
}
