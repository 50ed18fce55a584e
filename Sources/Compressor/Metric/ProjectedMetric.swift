internal import DuetRuntime

/// The metric for errors of Q when L is refitted afterwards.
///
/// With H = C C^T and V an orthonormal basis of the rows of R C, the part of an error E that no L can
/// correct is tr(E C (I - V V^T) C^T E^T), so the metric is
///
///     M = H - (R H)^T (R H R^T)^-1 (R H) + epsilon * mean(diag M) * I.
///
/// Source: the "Hessian downdate" of the program of CALDERA, arXiv:2405.18886; ProjQ, arXiv:2606.00494.
struct ProjectedMetric {
  let algebra: LinearAlgebra

  init(_ algebra: LinearAlgebra) { self.algebra = algebra }

  /// epsilon: M is singular without it.
  private static let damping = 0.01

  /// Computes M.
  ///
  /// - Parameters:
  ///   - hessian: H, (n, n).
  ///   - right: R, (r, n).
  /// - Returns: M, (n, n), in double precision.
  /// - Throws: `LinearAlgebraError` when R H R^T cannot be factorised.
  func hessian(
    _ hessian: borrowing Matrix<Float>, without right: borrowing Matrix<Float>
  ) throws(LinearAlgebraError) -> Matrix<Double> {
    let weighted = algebra.product(right, hessian)
    var gram = algebra.widened(algebra.product(weighted, right, transposesRight: true))
    let rank = right.rowCount
    let mean = (0..<rank).reduce(0) { $0 + gram[$1, $1] } / Double(max(1, rank))
    // Damped, because components may be dependent or zero.
    for index in 0..<rank { gram[index, index] += 1e-6 * mean }
    let across = algebra.widened(weighted)
    var solution = across.copy()
    try algebra.solve(&gram, &solution)
    var result = algebra.widened(hessian)
    algebra.multiply(across, transposesLeft: true, solution, scale: -1, old: 1, into: &result)
    let n = result.rowCount
    let shift = Self.damping * (0..<n).reduce(0) { $0 + result[$1, $1] } / Double(n)
    for index in 0..<n { result[index, index] += shift }
    return result
  }
}
