package import DuetRuntime
package import DuetSystem

/// A Hessian as H = U D U^T, the form that rounding with feedback reads.
///
/// U (n, n) is upper triangular with units on its diagonal, D is diagonal.
///
/// Source: Chee et al., QuIP, arXiv:2307.13304, section 3 (there with a lower triangle and columns from
/// the last to the first).
package struct FeedbackFactor: ~Copyable {
  /// U; what is on and below its diagonal is not to be read.
  package let upper: Matrix<Float>
  /// The diagonal of D.
  package let weights: [Float]

  /// The factors of a Hessian.
  ///
  /// - Parameters:
  ///   - hessian: (n, n), symmetric; destroyed.
  ///   - algebra: What computes.
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

  /// The same factors by blocks of columns, for a grid that rounds several together.
  package borrowing func blocks(of step: Int) -> FeedbackBlocks {
    FeedbackBlocks(self, step: step)
  }
}

/// H = V B V^T with V upper triangular in blocks, its diagonal blocks being unit matrices.
///
/// With U_BB the diagonal block of U and D_B that of D, B = U_BB D_B U_BB^T, and the columns of V are
/// those of U times U_BB^-1: what is fed back to a block is what U feeds back, times U_BB^-1.
///
/// Source: Tseng et al., QuIP#, arXiv:2402.04396, section 4.
package struct FeedbackBlocks: ~Copyable {
  /// The number of columns of a block.
  package let step: Int
  /// B, (blocks, step, step); a last block of fewer columns is padded with zeros.
  package let metric: Buffer<Float>
  /// U_BB^-T, (blocks, step, step), padded alike.
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
