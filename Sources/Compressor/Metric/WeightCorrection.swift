package import DuetRuntime
internal import DuetSystem

/// The change of weights that corrects for the compression of the weights before them.
///
/// In a compressed model a matrix gets the input x instead of the original x0. With these inputs, the weights
/// whose output is nearest to the original one are not W but
///
///     W* = W + D,      D = argmin E|t - (W + D) x|^2 + lambda |D|^2,      D (H + lambda I) = E[(t - W x) x^T]
///
/// with H = E[x x^T] and lambda the damping. Where the output of a matrix is added to the residual stream,
/// t is the output that gives the original stream, so D also corrects errors that are already in the stream;
/// the equation is then solved for W* itself, W* (H + lambda I) = E[t x^T] + lambda W. Elsewhere t is W x0, and
/// D = W K with K (H + lambda I) = E[(x0 - x) x^T].
///
/// H + lambda I is factorised in double precision, C C^T. The triangular systems are solved in single precision:
/// in the metric H + lambda I their relative error is at most some 2^-24 n cond(C), where cond(C) is at most the
/// root of n / lambda, lambda relative to the mean of the diagonal.
///
/// Source: QEP, arXiv:2504.09629, whose target is W x0 everywhere.
package struct WeightCorrection: ~Copyable {
  /// K^T or W*^T; (inputSize, hiddenSize).
  private let transposed: Matrix<Float>
  /// Whether `transposed` is W*^T, not K^T.
  private let isReplacement: Bool
  /// lambda, relative to the mean diagonal of H.
  package let damping: Double

  /// The correction K of the matrices that multiply the normalised residual stream.
  ///
  /// - Parameters:
  ///   - moment: E[(x0 - x) x^T] transposed, (inputSize, hiddenSize).
  ///   - hessian: H, (inputSize, inputSize).
  ///   - name: A linear layer, for messages.
  ///   - damping: lambda relative to the mean diagonal; it doubles until the factorisation works, at most
  ///     ten times.
  ///   - algebra: The threads to compute with.
  /// - Throws: `CompressionDataError.notPositiveDefinite`.
  /// - Complexity: O(n^3 / 3 + n^2 hiddenSize).
  package init(
    moment: borrowing Matrix<Double>, hessian: borrowing Matrix<Double>, name: String,
    damping: Double, _ algebra: LinearAlgebra
  ) throws(CompressionDataError) {
    let solution = try Self.solution(hessian, name, damping, algebra) { _ in
      algebra.narrowed(moment)
    }
    self.damping = solution.damping
    transposed = solution.value
    isReplacement = false
  }

  /// The replacement W* of a matrix whose output is added to the residual stream.
  ///
  /// - Parameters:
  ///   - weight: W, (hiddenSize, inputSize).
  ///   - moment: E[t x^T] transposed, (inputSize, hiddenSize).
  ///   - hessian: H, (inputSize, inputSize).
  ///   - name: The linear layer, for messages.
  ///   - damping: As above.
  ///   - algebra: The threads to compute with.
  /// - Throws: `CompressionDataError.notPositiveDefinite`.
  /// - Complexity: O(n^3 / 3 + n^2 hiddenSize).
  package init(
    replacing weight: borrowing Matrix<Float>, moment: borrowing Matrix<Double>,
    hessian: borrowing Matrix<Double>, name: String, damping: Double, _ algebra: LinearAlgebra
  ) throws(CompressionDataError) {
    let turned = algebra.transposed(weight)
    let solution = try Self.solution(hessian, name, damping, algebra) { lambda in
      let right = algebra.narrowed(moment)
      let (source, target) = unsafe (turned.pointer, right.pointer)
      algebra.forEachChunk(right.elements.count) { range in
        for index in range { unsafe target[index] += Float(lambda) * source[index] }
      }
      return right
    }
    self.damping = solution.damping
    transposed = solution.value
    isReplacement = true
  }

  /// The solution X of (H + lambda I) X = right(lambda).
  private static func solution(
    _ hessian: borrowing Matrix<Double>, _ name: String, _ damping: Double,
    _ algebra: LinearAlgebra, right: (_ lambda: Double) -> Matrix<Float>
  ) throws(CompressionDataError) -> Damped<Matrix<Float>> {
    let n = hessian.rowCount
    let mean = (0..<n).reduce(0) { $0 + hessian[$1, $1] } / Double(n)
    return try Damped(from: damping, name) { shift throws(LinearAlgebraError) in
      var matrix = hessian.copy()
      for index in 0..<n { matrix[index, index] += shift * mean }
      var solution = right(shift * mean)
      precondition(solution.rowCount == n, "moments of \(solution.rowCount) inputs, not \(n)")
      try algebra.solve(&matrix, &solution)
      return solution
    }
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
    var change: Matrix<Float>
    if isReplacement {
      change = algebra.transposed(transposed)
      algebra.add(weight, scale: -1, to: &change)
    } else {
      change = algebra.product(weight, transposed, transposesRight: true)
    }
    algebra.add(change, to: &weight)
    return size > 0 ? (algebra.dot(change, change) / size).squareRoot() : 0
  }
}
