package import DuetRuntime
internal import DuetSystem

/// How many components of L R should preserve a matrix before Q is rounded, the others repairing Q.
///
/// With S a root of H, E a matrix of random numbers in the place of Q's error, and rho_p(A) the share
/// of |A S|^2 that is left when its best approximation of rank p is taken away,
///
///     k = argmin over 0 <= k <= r of rho_k(W) rho_(r-k)(E):
///
/// what is preserved need not be rounded, and of the rounding of the rest so much is repaired.
///
/// Source: SRR, arXiv:2602.02001, its criterion of the split.
package struct RankSplit {
  private let algebra: LinearAlgebra

  /// Computes with `algebra`.
  package init(_ algebra: LinearAlgebra) { self.algebra = algebra }

  /// k.
  ///
  /// E is drawn to a seed of the shape, so that the same input gives the same result.
  ///
  /// - Parameters:
  ///   - weight: W, (m, n).
  ///   - hessian: H, (n, n).
  ///   - rank: r.
  /// - Returns: k, at most r.
  /// - Throws: `LinearAlgebraError`.
  /// - Complexity: that of `OutputSpectrum`, twice.
  package func preservedRank(
    of weight: borrowing Matrix<Float>, hessian: borrowing Matrix<Float>, rank: Int
  ) throws(LinearAlgebraError) -> Int {
    let (m, n) = (weight.rowCount, weight.columnCount)
    var generator = RandomGenerator(seed: UInt64(m) << 32 | UInt64(n))
    var noise = Matrix<Float>(rowCount: m, columnCount: n)
    for index in 0..<m * n { noise.elements[index] = Float(2 * generator.nextUnit() - 1) }
    let kept = try OutputSpectrum(of: weight, hessian: hessian, count: rank, algebra)
    let repaired = try OutputSpectrum(of: noise, hessian: hessian, count: rank, algebra)
    var best = (rank: 0, remainder: Double.infinity)
    for k in 0...rank {
      let remainder = kept.remainder(afterRank: k) * repaired.remainder(afterRank: rank - k)
      if remainder < best.remainder { best = (k, remainder) }
    }
    return best.rank
  }

  /// The best approximation of W of the rank that should preserve it.
  ///
  /// - Returns: L and R of full precision, of rank k.
  /// - Throws: `LinearAlgebraError`.
  package func preserved(
    of weight: borrowing Matrix<Float>, hessian: borrowing Matrix<Float>, rank: Int
  ) throws(LinearAlgebraError) -> LowRankProduct {
    try LowRankApproximation(algebra).factors(
      of: weight, hessian: hessian,
      rank: preservedRank(of: weight, hessian: hessian, rank: rank))
  }
}
