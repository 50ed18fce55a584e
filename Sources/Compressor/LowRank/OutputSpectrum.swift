package import DuetRuntime

/// How the energy of the outputs of a matrix is spread over directions: the eigenvalues of A H A^T.
///
/// The best L R of rank r leaves tr((A - L R) H (A - L R)^T) = sum over i > r of lambda_i, so the values
/// say what every component of L R is worth.
package struct OutputSpectrum: Sendable, Hashable {
  /// The largest eigenvalues of A H A^T, largest first, none negative.
  package let energies: [Double]
  /// tr(A H A^T), the sum of all eigenvalues.
  package let total: Double

  /// A spectrum that is known.
  package init(energies: [Double], total: Double) {
    self.energies = energies
    self.total = total
  }

  /// The spectrum of a matrix.
  ///
  /// - Parameters:
  ///   - a: A, (m, n).
  ///   - hessian: H, (n, n), symmetric and positive semidefinite.
  ///   - count: How many eigenvalues are wanted.
  ///   - algebra: What computes.
  /// - Throws: `LinearAlgebraError.noConvergence` when a number is not finite.
  /// - Complexity: O(count * (m n + n^2) + m n^2), or O(m n^2 + m^2 n + m^3) where all are computed.
  package init(
    of a: borrowing Matrix<Float>, hessian: borrowing Matrix<Float>, count: Int,
    _ algebra: LinearAlgebra
  ) throws(LinearAlgebraError) {
    let weighted = algebra.product(a, hessian)
    total = algebra.dot(weighted, a)
    guard total.isFinite else { throw .noConvergence(info: 0) }
    let count = min(count, a.rowCount, a.columnCount)
    let factors = try LowRankApproximation(algebra).factors(of: a, hessian: hessian, rank: count)
    // With p_i the rows of L^T: p_i^T A H A^T p_i, the Rayleigh quotients of unit vectors.
    let images = algebra.product(factors.right, hessian)
    var energies: [Double] = []
    for component in 0..<count {
      let (image, row) = (images.row(component), factors.right.row(component))
      var sum = 0.0
      for column in row.indices { sum += Double(image[column]) * Double(row[column]) }
      // Sums of floats can fall below zero where nothing is left, and rise by their rounding.
      energies.append(max(0, min(sum, energies.last ?? .infinity)))
    }
    self.energies = energies
  }

  /// The share of the energy that the best approximation of a rank leaves, at least 0.
  ///
  /// - Precondition: The rank is at most the number of known eigenvalues.
  package func remainder(afterRank rank: Int) -> Double {
    guard total > 0 else { return 0 }
    return max(0, 1 - energies.prefix(rank).reduce(0, +) / total)
  }

  /// The known eigenvalues as shares of the sum of all.
  package var shares: [Double] { energies.map { total > 0 ? $0 / total : 0 } }

  /// (sum of lambda)^2 / (sum of lambda^2) of A H A^T: the number of directions that would hold as much if
  /// all were alike, the "participation ratio".
  ///
  /// - Complexity: O(m n^2 + m^2 n).
  package static func effectiveRank(
    of a: borrowing Matrix<Float>, hessian: borrowing Matrix<Float>, _ algebra: LinearAlgebra
  ) -> Double {
    let weighted = algebra.product(a, hessian)
    let total = algebra.dot(weighted, a)
    // The sum of the squares of eigenvalues is that of the elements.
    let gram = algebra.product(weighted, a, transposesRight: true)
    let squares = algebra.dot(gram, gram)
    return squares > 0 ? total * total / squares : 0
  }
}
