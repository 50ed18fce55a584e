public import DuetRuntime

/// A weight matrix to decompose: rotated, and without the outlier columns, which are stored separately.
///
/// The weights of inputs that are always zero become zero, unless the method keeps them. The weights of
/// outlier columns are taken out, and Q + L R is fitted to the rest.
public struct WeightProblem: ~Copyable {
  /// The linear layer, for messages.
  public let name: String
  /// The matrix that Q + L R is fitted to, with inputs and outputs rotated if so chosen, (m, n).
  public let weight: Matrix<Float>
  /// The weights of the k channels stored as columns, with rotated outputs, (m, k).
  package let outlierWeights: Matrix<Float>
  /// tr(W H W^T) with the damped Hessian, of all of W.
  package let dampedSquare: Double
  /// tr(W H W^T) with the Hessian as measured, of all of W.
  package let measuredSquare: Double

  /// The problem of a weight matrix.
  ///
  /// - Parameters:
  ///   - weight: W in the original basis, (m, n); destroyed.
  ///   - name: The linear layer, for messages.
  ///   - metric: The metric of its inputs.
  ///   - outputRotation: How outputs are rotated, or nil if they are not.
  ///   - keepsUnseenWeights: Whether the weights of inputs that are always zero are kept.
  ///   - algebra: The threads to compute with.
  /// - Throws: `CompressionDataError.nonFiniteWeight`.
  /// - Complexity: O(m n (log(m) + log(n)) + m n^2), the last term for the two squares.
  package init(
    _ weight: inout Matrix<Float>, name: String, metric: borrowing Metric,
    outputRotation: MatrixRotation?, keepsUnseenWeights: Bool = false, _ algebra: LinearAlgebra
  ) throws(CompressionDataError) {
    let (m, n) = (weight.rowCount, weight.columnCount)
    precondition(n == metric.size, "\(n) columns in a metric of \(metric.size)")
    if !keepsUnseenWeights {
      for row in 0..<m { for input in metric.deadInputs { weight[row, input] = 0 } }
    }
    // The sum of squares is finite when all weights are, and no square overflows in double precision.
    let sum = algebra.dot(weight, weight)
    guard sum.isFinite else { throw .nonFiniteWeight(tensor: name) }
    metric.rotation?.rotateRows(&weight)
    outputRotation?.rotateColumns(&weight)

    let square = metric.square(weight, algebra)
    let energy = algebra.dot(weight, weight)
    if let columns = metric.columns {
      // `square` is measured with the Schur complement, so the part of the best columns is added:
      // (W P) H_OO (W P)^T.
      let best = algebra.product(weight, columns.projection, transposesRight: true)
      let taken = algebra.square(best, in: algebra.narrowed(columns.gram))
      dampedSquare = square - metric.damping * energy + taken
      measuredSquare = dampedSquare - columns.damping * energy
      outlierWeights = algebra.product(weight, columns.selector, transposesRight: true)
      algebra.multiply(outlierWeights, columns.selector, scale: -1, old: 1, into: &weight)
    } else {
      dampedSquare = square
      measuredSquare = square - metric.damping * energy
      outlierWeights = Matrix(rowCount: m, columnCount: 0)
    }
    self.name = name
    self.weight = weight.copy()
  }
}

extension LinearAlgebra {
  /// tr(A H A^T), in single precision with a sum in double precision.
  func square(_ a: borrowing Matrix<Float>, in hessian: borrowing Matrix<Float>) -> Double {
    dot(product(a, hessian), a)
  }
}
