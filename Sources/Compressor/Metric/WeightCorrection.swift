package import DuetRuntime

/// The change of weights that corrects for the compression of the weights before them.
///
/// In a compressed model a matrix gets the input x instead of the original x0. With these inputs, the weights
/// whose output is nearest to the original one are not W but
///
///     W* = W + D,      D = argmin E|t - (W + D) x|^2 + lambda |D|^2,      D (H + lambda I) = E[(t - W x) x^T]
///
/// with H = E[x x^T] and lambda the damping. Where the output of a matrix is added to the residual stream,
/// t is the output that gives the original stream, so D also corrects errors that are already in the stream.
/// Elsewhere t is W x0.
///
/// Source: QEP, arXiv:2504.09629, whose target is W x0 everywhere.
package struct WeightCorrection: ~Copyable {
  /// K^T with D = W K, or D^T; (inputSize, hiddenSize).
  private let transposed: Matrix<Float>
  /// Whether `transposed` is K^T, not D^T.
  private let appliesToWeights: Bool
  /// lambda, relative to the mean diagonal of H.
  package let damping: Double

  /// The correction of the matrices that multiply an input.
  ///
  /// - Parameters:
  ///   - moment: E[d x^T] transposed, (inputSize, hiddenSize); destroyed. d is x0 - x where `input` is the
  ///     normalised residual stream, else the original stream after the matrix minus the compressed one.
  ///   - hessian: H, (inputSize, inputSize).
  ///   - input: Which input it is.
  ///   - name: A linear layer, for messages.
  ///   - damping: lambda relative to the mean diagonal; it doubles until the factorisation works, at most
  ///     ten times.
  ///   - algebra: The threads to compute with.
  /// - Throws: `CompressionDataError.notPositiveDefinite`.
  /// - Complexity: O(n^3 / 3 + n^2 hiddenSize).
  package init(
    moment: consuming Matrix<Double>, hessian: borrowing Matrix<Double>, input: LinearInput,
    name: String, damping: Double, _ algebra: LinearAlgebra
  ) throws(CompressionDataError) {
    let n = hessian.rowCount
    precondition(moment.rowCount == n, "moments of \(moment.rowCount) inputs, not \(n)")
    appliesToWeights = input.isComparedItself
    let mean = (0..<n).reduce(0) { $0 + hessian[$1, $1] } / Double(n)
    let solution = try Damped(from: damping, name) { shift throws(LinearAlgebraError) in
      var matrix = hessian.copy()
      var solution = moment.copy()
      for index in 0..<n { matrix[index, index] += shift * mean }
      try algebra.solve(&matrix, &solution)
      return algebra.narrowed(solution)
    }
    self.damping = solution.damping
    transposed = solution.value
  }

  /// Adds D to a matrix.
  ///
  /// - Parameters:
  ///   - weight: W, (outputSize, inputSize), which becomes W*.
  ///   - algebra: The threads to compute with.
  /// - Returns: |D| / |W| in the Frobenius norm.
  /// - Complexity: O(outputSize * inputSize * hiddenSize) where D is W K.
  package func apply(to weight: inout Matrix<Float>, _ algebra: LinearAlgebra) -> Double {
    let size = algebra.dot(weight, weight)
    let change =
      appliesToWeights
      ? algebra.product(weight, transposed, transposesRight: true) : algebra.transposed(transposed)
    algebra.add(change, to: &weight)
    return size > 0 ? (algebra.dot(change, change) / size).squareRoot() : 0
  }
}
