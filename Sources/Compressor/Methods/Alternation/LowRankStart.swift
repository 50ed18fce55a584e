internal import DuetRuntime

/// The low-rank part before the first Q is fitted.
package struct LowRankStart {
  private let algebra: LinearAlgebra

  /// Computes with `algebra`.
  package init(_ algebra: LinearAlgebra) { self.algebra = algebra }

  /// The first L and R, of full precision.
  ///
  /// - `zero`: nothing, so that the first Q is near W itself.
  /// - `lowRank`: the best of rank r in the metric H.
  /// - `svd`: the best of rank r in the metric I.
  /// - `odlri`: with O the `channelCount` channels of the largest second moment in the original basis, the
  ///   best of rank r in the metric H restricted to O. Where O has at most r channels, it is an exact copy of
  ///   their columns, L R = W_:O E_O^T, and Q is then fitted to weights whose outlier columns are zero.
  ///
  /// - `srr`: the best of the rank that `RankSplit` preserves, without the components that repair Q.
  ///
  /// - Throws: `LinearAlgebraError`.
  ///
  /// Source: ODLRI, arXiv:2506.02077, equation 6; its whitening cancels in the product.
  package func factors(
    _ initialization: LowRankInitialization, of problem: borrowing WeightProblem,
    _ metric: borrowing Metric, rank: Int, channelCount: Int
  ) throws(LinearAlgebraError) -> LowRankProduct {
    let weight = problem.weight.copy()
    let (m, n) = (weight.rowCount, weight.columnCount)
    switch initialization {
    case .zero, .auto:
      return LowRankProduct(rank: 0, outputSize: m, inputSize: n)
    case .lowRank:
      return try LowRankApproximation(algebra).factors(
        of: weight, hessian: metric.hessian, rank: rank)
    case .svd:
      var identity = Matrix<Float>(rowCount: n, columnCount: n)
      for index in 0..<n { identity[index, index] = 1 }
      return try LowRankApproximation(algebra).factors(of: weight, hessian: identity, rank: rank)
    case .srr:
      return try RankSplit(algebra).preserved(of: weight, hessian: metric.hessian, rank: rank)
    case .odlri:
      let selector = Metric.selector(
        of: metric.ranking.prefix(channelCount).sorted(), size: n, metric.rotation)
      // W_:O, (m, k), and H_OO; the unit vectors are orthonormal in any basis.
      let columns = algebra.product(weight, selector, transposesRight: true)
      if channelCount <= rank {
        return LowRankProduct(
          leftTransposed: algebra.transposed(columns), right: selector)
      }
      let gram = algebra.product(
        algebra.product(selector, metric.hessian), selector, transposesRight: true)
      let truncated = try LowRankApproximation(algebra).factors(
        of: columns, hessian: gram, rank: rank, isExact: true)
      return LowRankProduct(
        leftTransposed: truncated.leftTransposed.copy(),
        right: algebra.product(truncated.right, selector))
    }
  }
}
