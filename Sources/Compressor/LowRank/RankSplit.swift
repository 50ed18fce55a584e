package import DuetRuntime
internal import DuetSystem

/// The number of components of L R that are fitted to W before Q is rounded; the others correct Q's error.
///
/// With S a root of H, E a matrix of random numbers in the place of Q's error, and rho_p(A) the share
/// of |A S|^2 that is left when its best approximation of rank p is subtracted,
///
///     k = argmin over 0 <= k <= r of rho_k(W) rho_(r-k)(E).
///
/// The first factor is the share of W that has to be rounded, the second the share of the rounding error
/// that is left after correction.
///
/// Source: the criterion of the split in SRR, arXiv:2602.02001.
package struct RankSplit {
  private let algebra: LinearAlgebra

  /// Computes with `algebra`.
  package init(_ algebra: LinearAlgebra) { self.algebra = algebra }

  /// Chooses k.
  ///
  /// The shape is the seed of E, so the same input gives the same result.
  ///
  /// - Parameters:
  ///   - weight: W, (m, n).
  ///   - hessian: H, (n, n).
  ///   - rank: r.
  /// - Returns: k, at most r.
  /// - Throws: `LinearAlgebraError`.
  /// - Complexity: Twice that of `OutputSpectrum.init(of:hessian:count:_:)`.
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

  /// The best approximation of W of rank k.
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
