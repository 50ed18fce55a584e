internal import DuetRuntime

/// A way to decompose one weight matrix: from W and H to Q, L R or both.
///
/// A method is one file: a type that does this, and its case in `CompressionPlan.Method` with a line in
/// `implementation` below; with its three properties it has the initialiser. What all methods share, calibration, rotation, packing, evaluation, the journal,
/// knows none of them.
protocol DecompositionMethod {
  /// Whether the result has a Q.
  static var hasQuantized: Bool { get }
  /// Whether the result has L R.
  static var hasLowRank: Bool { get }

  /// The method with the choices of a plan.
  ///
  /// - Parameters:
  ///   - algebra: What computes.
  ///   - plan: What is asked for; each method says which choices it reads.
  ///   - grid: The values that Q can have.
  init(algebra: LinearAlgebra, plan: CompressionPlan, grid: any RoundingGrid)

  /// Decomposes a matrix.
  ///
  /// - Parameters:
  ///   - problem: W, (m, n), rotated as the plan asks.
  ///   - metric: H of its inputs.
  ///   - rank: The rank of L R; 0 without.
  ///   - record: Gets what the report is to say of the way: `method`, `traces`, `outlierChannels`,
  ///     `preservedRank`.
  /// - Returns: What is to be stored, with its error in the metric.
  /// - Throws: `LinearAlgebraError`.
  func decompose(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, rank: Int,
    _ record: inout MatrixRecord
  ) throws(LinearAlgebraError) -> Decomposition
}

extension CompressionPlan.Method {
  /// The type that decomposes.
  var implementation: any DecompositionMethod.Type {
    switch self {
    case .odlri, .caldera: AlternatingMethod.self
    case .srr: SplitRankMethod.self
    case .qera, .lqer: RepairMethod.self
    case .lordq: FactorsOnlyMethod.self
    case .gptq: FeedbackRoundingMethod.self
    case .awq: ActivationAwareMethod.self
    case .rtn: RoundToNearestMethod.self
    }
  }
}

extension LinearAlgebra {
  /// tr((W - Q) H (W - Q)^T).
  func squaredError(
    of quantized: borrowing QuantizedMatrix, _ problem: borrowing WeightProblem,
    _ metric: borrowing Metric
  ) -> Double {
    var residual = problem.weight.copy()
    add(quantized.values, scale: -1, to: &residual)
    return square(residual, in: metric.hessian)
  }
}

extension WeightProblem {
  /// sqrt(error / tr(W H W^T)); a matrix without any effect has no error.
  func relative(_ error: Double) -> Double {
    dampedSquare > 0 ? (max(error, 0) / dampedSquare).squareRoot() : 0
  }

  /// L R of rank 0.
  var noFactors: StoredFactors {
    StoredFactors(outputSize: weight.rowCount, inputSize: weight.columnCount)
  }
}
