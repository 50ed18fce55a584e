package import DuetRuntime
package import DuetSystem

/// The factors of a Hessian H = U D U^T, as rounding with feedback uses them.
///
/// U (n, n) is upper triangular with ones on its diagonal, D is diagonal.
///
/// Source: Chee et al., QuIP, arXiv:2307.13304, section 3 (there with a lower triangle and columns from
/// the last to the first).
package struct FeedbackFactor: ~Copyable {
  /// U; only elements above the diagonal are set.
  package let upper: Matrix<Float>
  /// The diagonal of D.
  package let weights: [Float]

  /// The factors of a Hessian.
  ///
  /// - Parameters:
  ///   - hessian: (n, n), symmetric; destroyed.
  ///   - algebra: The threads to compute with.
  /// - Throws: `LinearAlgebraError.notPositiveDefinite`.
  /// - Complexity: O(n^3 / 3), in double precision: in single precision it fails for large layers with
  ///   outlier channels.
  package init(
    _ hessian: inout Matrix<Double>, _ algebra: LinearAlgebra
  ) throws(LinearAlgebraError) {
    let n = hessian.rowCount
    // H = C C^T with C upper triangular, so with d the diagonal of C, U = C / d and D = d^2.
    try algebra.factorizeUpper(&hessian)
    let diagonal = (0..<n).map { hessian[$0, $0] }
    let upper = Matrix<Float>(rowCount: n, columnCount: n)
    let (factor, target) = unsafe (hessian.pointer, upper.pointer)
    let inverse = diagonal.map { 1 / $0 }
    algebra.pool.run(n) { row, _ in
      for column in row + 1..<max(n, row + 1) {
        let index = row * n + column
        unsafe target[index] = unsafe Float(factor[index] * inverse[column])
      }
    }
    self.upper = upper
    weights = diagonal.map { Float($0 * $0) }
  }

  /// The number of columns.
  package var size: Int { weights.count }

  /// The factors in blocks of `step` columns, for a grid that rounds several columns together.
  package borrowing func blocks(of step: Int) -> FeedbackBlocks {
    FeedbackBlocks(self, step: step)
  }
}

/// The factors of a Hessian in blocks of columns: H = V B V^T.
///
/// B is block diagonal; V is block upper triangular, with identity matrices as diagonal blocks. With U_BB and
/// D_B the diagonal blocks of U and D, the block of B is U_BB D_B U_BB^T, and a block of columns of V is the
/// same columns of U times U_BB^-1. So the feedback to a block is the feedback by U, times U_BB^-1.
///
/// Source: Tseng et al., QuIP#, arXiv:2402.04396, section 4.
package struct FeedbackBlocks: ~Copyable {
  /// The number of columns of a block.
  package let step: Int
  /// B, (blocks, step, step); a last block of fewer columns is padded with zeros.
  package let metric: Buffer<Float>
  /// U_BB^-T, (blocks, step, step), padded in the same way.
  package let transform: Buffer<Float>
  /// The diagonal of B.
  package let weights: [Float]

  fileprivate init(_ factor: borrowing FeedbackFactor, step: Int) {
    precondition(step > 0, "a step of \(step)")
    let n = factor.size
    let count = (n + step - 1) / step * step * step
    var metric = Buffer<Float>(count: count)
    var transform = Buffer<Float>(count: count)
    var weights = factor.weights
    for start in stride(from: 0, to: n, by: step) {
      let size = min(step, n - start)
      func u(_ i: Int, _ j: Int) -> Double {
        i == j ? 1 : i < j ? Double(factor.upper[start + i, start + j]) : 0
      }
      let place = start / step * step * step
      // The inverse of a unit upper triangle, column by column.
      var inverse = [Double](repeating: 0, count: step * step)
      for j in 0..<size {
        inverse[j * step + j] = 1
        for i in (0..<j).reversed() {
          var sum = 0.0
          for k in i + 1...j { sum -= u(i, k) * inverse[k * step + j] }
          inverse[i * step + j] = sum
        }
      }
      for i in 0..<size {
        for j in 0..<size {
          transform[place + j * step + i] = Float(inverse[i * step + j])
          var sum = 0.0
          for k in max(i, j)..<size { sum += u(i, k) * u(j, k) * Double(factor.weights[start + k]) }
          metric[place + i * step + j] = Float(sum)
          if i == j { weights[start + i] = Float(sum) }
        }
      }
    }
    self.step = step
    self.metric = metric
    self.transform = transform
    self.weights = weights
  }
}
