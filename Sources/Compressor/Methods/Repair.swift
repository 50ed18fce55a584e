internal import DuetRuntime

extension QuantizationOptions {
  /// Q rounded to nearest, and one L R fitted to W - Q.
  ///
  /// - Parameters:
  ///   - options: How L R is stored and fitted.
  ///   - problem: W.
  ///   - metric: H, in which the errors are measured.
  ///   - repairMetric: The metric in which L R is fitted.
  ///   - rank: The rank of L R; with 0 the result is Q alone.
  ///   - algebra: The linear algebra to compute with.
  /// - Returns: Q + L R, with the errors before and after the repair.
  /// - Throws: `LinearAlgebraError`.
  public func repaired(
    by options: LowRankOptions, _ problem: borrowing WeightProblem, _ metric: borrowing Metric,
    repairMetric: borrowing Metric, rank: Int, _ algebra: LinearAlgebra
  ) throws(LinearAlgebraError) -> Decomposition {
    let quantized = nearest(to: problem, algebra)
    let before = algebra.squaredError(of: quantized, problem, metric)
    if rank == 0 {
      return Decomposition(
        quantized: quantized, factors: problem.noFactors, error: before,
        runs: [.init(from: .zero, errors: [before])])
    }
    let fitted = try LowRankFitting(algebra, options).repair(
      quantized, problem, repairMetric, rank: rank)
    var result = Decomposition(quantized: quantized, factors: fitted.factors.copy(), error: 0)
    result.error = metric.square(result.residual(of: problem.weight, algebra), algebra)
    result.runs = [.init(from: .zero, errors: [before, result.error])]
    return result
  }
}

extension LowRankFitting {
  /// L R fitted to W - Q.
  ///
  /// - Returns: The factors, with their error in the given metric.
  /// - Throws: `LinearAlgebraError`.
  func repair(
    _ quantized: borrowing QuantizedMatrix, _ problem: borrowing WeightProblem,
    _ metric: borrowing Metric, rank: Int
  ) throws(LinearAlgebraError) -> FittedFactors {
    var residual = problem.weight.copy()
    algebra.add(quantized.values, scale: -1, to: &residual)
    return try fit(residual, square: metric.square(residual, algebra), metric, rank: rank)
  }
}

extension LowRankOptions {
  /// The operations of the inner rounds of one fit.
  func innerOperations(_ shape: MatrixShape) -> Double {
    format == .f16 ? 0 : Double(innerIterations) * shape.innerRound
  }

  /// The operations of one fit: the closed form and the inner rounds.
  func fitOperations(_ shape: MatrixShape) -> Double {
    shape.closedForm + innerOperations(shape)
  }

  /// The operations of rounding with its error, and of one fit with two errors.
  func repairOperations(_ shape: MatrixShape) -> Double {
    let rounded = shape.rounding + shape.measuring
    return shape.rank == 0 ? rounded : rounded + fitOperations(shape) + 2 * shape.measuring
  }
}
