package import DuetRuntime
internal import DuetSystem

/// Input channels whose weights are stored as separate columns C, in addition to Q + L R.
///
/// W is approximated by B + C E_O^T with B = Q + L R and E_O the unit vectors of the channels O. For
/// a given B the best columns are
///
///     C = (W - B) P,      P = H_:O H_OO^-1,
///
/// and the remaining error is the error of B in the metric H - H_:O H_OO^-1 H_O:, the Schur complement. So
/// B is fitted in that metric, and C is computed after B. Immutable, and therefore shared by reference.
package final class OutlierColumns: Sendable {
  /// The channels, ascending.
  package let channels: [Int]
  /// The unit vectors of the channels, rotated like inputs, (k, n).
  package let selector: Matrix<Float>
  /// P^T, its rows rotated like inputs, (k, n).
  package let projection: Matrix<Float>
  /// H_OO with damping, (k, k).
  package let gram: Matrix<Double>
  /// What was added to the diagonal of H.
  package let damping: Double

  /// The columns of `channels`.
  ///
  /// - Parameters:
  ///   - channels: Ascending.
  ///   - hessian: H of mean diagonal 1, not rotated; becomes the Schur complement of H + damping * I,
  ///     with zeros in the rows and columns of the channels.
  ///   - damping: What is added to the diagonal.
  ///   - rotation: How inputs are rotated, or nil if they are not.
  ///   - algebra: The threads to compute with.
  /// - Throws: `LinearAlgebraError` when H_OO is not positive definite.
  package init(
    _ channels: [Int], complementing hessian: inout Matrix<Double>, damping: Double,
    rotation: MatrixRotation?, _ algebra: LinearAlgebra
  ) throws(LinearAlgebraError) {
    let (n, k) = (hessian.rowCount, channels.count)
    for index in 0..<n { hessian[index, index] += damping }
    var gram = Matrix<Double>(rowCount: k, columnCount: k)
    // H_O:, (k, n), which `solve` replaces by H_OO^-1 H_O: = P^T.
    var projection = Matrix<Double>(rowCount: k, columnCount: n)
    for (row, channel) in channels.enumerated() {
      for column in 0..<n { projection[row, column] = hessian[channel, column] }
      for (column, other) in channels.enumerated() { gram[row, column] = hessian[channel, other] }
    }
    let across = projection.copy()
    var factor = gram.copy()
    try algebra.solve(&factor, &projection)
    algebra.multiply(across, transposesLeft: true, projection, scale: -1, old: 1, into: &hessian)
    for channel in channels {
      for index in 0..<n {
        hessian[channel, index] = 0
        hessian[index, channel] = 0
      }
    }
    var rotated = Matrix<Float>(rowCount: k, columnCount: n)
    for index in 0..<k * n { rotated.elements[index] = Float(projection.elements[index]) }
    rotation?.rotateRows(&rotated)
    self.channels = channels
    selector = Metric.selector(of: channels, size: n, rotation)
    self.projection = rotated
    self.gram = gram
    self.damping = damping
  }
}
