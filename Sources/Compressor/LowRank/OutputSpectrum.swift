package import DuetRuntime

/// The energies of the outputs of a matrix by direction: the eigenvalues lambda of A H A^T.
///
/// The best L R of rank r leaves tr((A - L R) H (A - L R)^T) = sum over i > r of lambda_i, so component i of
/// L R lowers the error by lambda_i.
package struct OutputSpectrum: Sendable, Hashable {
  /// The largest eigenvalues of A H A^T, largest first, none negative.
  package let energies: [Double]
  /// tr(A H A^T), the sum of all eigenvalues.
  package let total: Double
  /// |p_i^T A|^2 for the eigenvectors p_i, in the order of `energies`: what component i takes of |A|_F^2.
  package let squaredNorms: [Double]
  /// |A|_F^2.
  package let squaredNorm: Double

  /// A spectrum with known eigenvalues.
  package init(
    energies: [Double], total: Double, squaredNorms: [Double] = [], squaredNorm: Double = 0
  ) {
    self.energies = energies
    self.total = total
    self.squaredNorms = squaredNorms
    self.squaredNorm = squaredNorm
  }

  /// The spectrum of a matrix.
  ///
  /// - Parameters:
  ///   - a: A, (m, n).
  ///   - hessian: H, (n, n), symmetric and positive semidefinite.
  ///   - count: How many eigenvalues are wanted.
  ///   - algebra: The threads to compute with.
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
    var (energies, squaredNorms): ([Double], [Double]) = ([], [])
    for component in 0..<count {
      let (image, row) = (images.row(component), factors.right.row(component))
      var (sum, square) = (0.0, 0.0)
      for column in row.indices {
        sum += Double(image[column]) * Double(row[column])
        square += Double(row[column]) * Double(row[column])
      }
      squaredNorms.append(square)
      // By rounding, a sum can be negative, or larger than the one before it.
      energies.append(max(0, min(sum, energies.last ?? .infinity)))
    }
    self.energies = energies
    self.squaredNorms = squaredNorms
    squaredNorm = algebra.dot(a, a)
  }

  /// The share of the energy that is left after the best approximation of a rank, at least 0.
  ///
  /// - Precondition: The rank is at most the number of known eigenvalues.
  package func remainder(afterRank rank: Int) -> Double {
    guard total > 0 else { return 0 }
    return max(0, 1 - energies.prefix(rank).reduce(0, +) / total)
  }

  /// The known eigenvalues as shares of the sum of all.
  package var shares: [Double] { energies.map { total > 0 ? $0 / total : 0 } }

  /// What each component takes of |A|_F^2, as a share of it.
  package var normShares: [Double] {
    squaredNorms.map { squaredNorm > 0 ? $0 / squaredNorm : 0 }
  }

  /// The "participation ratio" of A H A^T, (sum of lambda)^2 / (sum of lambda^2).
  ///
  /// It is the number of equal eigenvalues that have the same sum and the same sum of squares.
  ///
  /// - Complexity: O(m n^2 + m^2 n).
  package static func effectiveRank(
    of a: borrowing Matrix<Float>, hessian: borrowing Matrix<Float>, _ algebra: LinearAlgebra
  ) -> Double {
    let weighted = algebra.product(a, hessian)
    let total = algebra.dot(weighted, a)
    // The sum of squares of the eigenvalues is the sum of squares of the elements.
    let gram = algebra.product(weighted, a, transposesRight: true)
    let squares = algebra.dot(gram, gram)
    return squares > 0 ? total * total / squares : 0
  }
}
