package import DuetRuntime
internal import DuetSystem

/// The best low-rank approximation of a matrix in the metric of the activations.
///
/// For A (m, n) and H (n, n) the minimum of tr((A - L R) H (A - L R)^T) over L (m, r) and R (r, n) is
/// L = P, R = P^T A with P the leading eigenvectors of A H A^T: no root or inverse of H is needed, and
/// L has orthonormal columns.
///
/// Source: the closed form of SVD-LLM, arXiv:2403.07378, and the low-rank step of CALDERA,
/// arXiv:2405.18886; both use a root of H.
package struct LowRankApproximation {
  private let algebra: LinearAlgebra

  /// Computes with `algebra`.
  package init(_ algebra: LinearAlgebra) { self.algebra = algebra }

  /// The number of power steps of the randomised algorithm.
  ///
  /// Each step shrinks the discarded directions, relative to the kept ones, by the square of the ratio of
  /// their singular values. The subspace has about twice as many vectors as the rank.
  private static let powerSteps = 4
  /// The number of power steps from directions that are near the leading ones.
  ///
  /// A step from a random start brings a direction in by the square of its singular value over the largest;
  /// near directions are in already.
  private static let powerStepsFromNear = 2

  /// Approximates A.
  ///
  /// The shape is the seed of the random start, so the same input gives the same result.
  ///
  /// - Parameters:
  ///   - a: (m, n).
  ///   - hessian: H, (n, n), symmetric and positive semidefinite.
  ///   - rank: r, at most m and n.
  ///   - near: Directions near the leading ones, such as L^T of an approximation of a similar matrix, (r', m), or
  ///     nil; the others are random.
  ///   - isExact: Whether to compute all eigenvectors of A H A^T, or nil to do so when it is not slower.
  /// - Returns: L^T (r, m), with orthonormal rows in descending order of contribution, and R.
  /// - Throws: `LinearAlgebraError.noConvergence` when a number is not finite.
  /// - Complexity: O(r * (m n + n^2)), or O(m n^2 + m^2 n + m^3) exactly.
  package func factors(
    of a: borrowing Matrix<Float>, hessian: borrowing Matrix<Float>, rank: Int,
    near: consuming Matrix<Float>? = nil, isExact: Bool? = nil
  ) throws(LinearAlgebraError) -> LowRankProduct {
    let (m, n) = (a.rowCount, a.columnCount)
    precondition(
      hessian.rowCount == n && rank <= min(m, n),
      "rank \(rank) of (\(m), \(n)) in a metric of \(hessian.rowCount)")
    let width = min(2 * rank + 8, m)
    let directions =
      isExact ?? (3 * width > m)
      ? try exactDirections(a, hessian)
      : try randomDirections(a, hessian, count: width, near: near)
    var left = Matrix<Float>(rowCount: rank, columnCount: m)
    for index in 0..<rank * m { left.elements[index] = directions.elements[index] }
    let right = algebra.product(left, a)
    return LowRankProduct(leftTransposed: left, right: right)
  }

  /// All eigenvectors of A H A^T in rows, in descending order of eigenvalue.
  private func exactDirections(
    _ a: borrowing Matrix<Float>, _ hessian: borrowing Matrix<Float>
  ) throws(LinearAlgebraError) -> Matrix<Float> {
    var gram = algebra.widened(
      algebra.product(algebra.product(a, hessian), a, transposesRight: true))
    _ = try algebra.eigenvectors(&gram)
    return algebra.narrowed(gram)
  }

  /// The leading eigenvectors of A H A^T in rows, by subspace iteration from near and random directions.
  ///
  /// Source: Halko, Martinsson and Tropp, arXiv:0909.4061, algorithm 4.4, with a Rayleigh-Ritz step.
  private func randomDirections(
    _ a: borrowing Matrix<Float>, _ hessian: borrowing Matrix<Float>, count: Int,
    near: consuming Matrix<Float>?
  ) throws(LinearAlgebraError) -> Matrix<Float> {
    let m = a.rowCount
    var generator = RandomGenerator(seed: UInt64(m) << 32 | UInt64(a.columnCount))
    var basis = Matrix<Double>(rowCount: count, columnCount: m)
    for index in 0..<count * m { basis.elements[index] = generator.nextUnit() - 0.5 }
    var steps = Self.powerSteps
    if let near = near.take() {
      precondition(near.columnCount == m, "directions of \(near.columnCount) outputs, not \(m)")
      let known = min(near.rowCount, count) * m
      for index in 0..<known { basis.elements[index] = Double(near.elements[index]) }
      if known > 0 { steps = Self.powerStepsFromNear }
    }
    algebra.orthonormalizeRows(&basis)
    for _ in 0..<steps {
      let image = algebra.product(algebra.product(algebra.narrowed(basis), a), hessian)
      basis = algebra.widened(algebra.product(image, a, transposesRight: true))
      guard basis.elements[0].isFinite else { throw .noConvergence(info: 0) }
      algebra.orthonormalizeRows(&basis)
    }
    let rows = algebra.product(algebra.narrowed(basis), a)
    var small = algebra.widened(
      algebra.product(algebra.product(rows, hessian), rows, transposesRight: true))
    _ = try algebra.eigenvectors(&small)
    return algebra.product(algebra.narrowed(small), algebra.narrowed(basis))
  }
}

/// The factors of a matrix of low rank, in single precision: L R.
package struct LowRankProduct: ~Copyable {
  /// L^T, (rank, outputSize): components are rows on both sides.
  package var leftTransposed: Matrix<Float>
  /// R, (rank, inputSize).
  package var right: Matrix<Float>

  /// Two factors.
  ///
  /// - Precondition: Both have the same number of rows.
  package init(leftTransposed: consuming Matrix<Float>, right: consuming Matrix<Float>) {
    precondition(
      leftTransposed.rowCount == right.rowCount,
      "ranks \(leftTransposed.rowCount) and \(right.rowCount)")
    self.leftTransposed = leftTransposed
    self.right = right
  }

  /// Factors of rank `rank` whose product is zero.
  package init(rank: Int, outputSize: Int, inputSize: Int) {
    leftTransposed = Matrix(rowCount: rank, columnCount: outputSize)
    right = Matrix(rowCount: rank, columnCount: inputSize)
  }

  /// The rank, the number of components.
  package var rank: Int { right.rowCount }

  /// A copy of the factors.
  package borrowing func copy() -> LowRankProduct {
    LowRankProduct(leftTransposed: leftTransposed.copy(), right: right.copy())
  }

  /// A - L R as a new matrix; without components, A itself.
  package borrowing func subtracted(
    from a: borrowing Matrix<Float>, _ algebra: LinearAlgebra
  ) -> Matrix<Float> {
    var result = a.copy()
    if rank > 0 {
      algebra.multiply(
        leftTransposed, transposesLeft: true, right, scale: -1, old: 1, into: &result)
    }
    return result
  }
}
