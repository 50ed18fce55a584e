package import DuetRuntime
internal import DuetSystem

extension Metric {
  /// tr(A H A^T) for the damped H of this metric.
  ///
  /// With H = U D U^T it is the sum over columns j of D_j |(A U)_j|^2. That is half the work of a product with H,
  /// and more exact: for the error of a rounding with feedback, A U are the rounding errors of the columns,
  /// while A H is a difference of numbers that are larger by the condition of H.
  ///
  /// - Parameters:
  ///   - a: A, (m, n).
  ///   - algebra: The threads to compute with.
  /// - Returns: The sum, in double precision over products in single precision.
  /// - Complexity: O(m n^2 / 2).
  package borrowing func square(
    _ a: borrowing Matrix<Float>, _ algebra: LinearAlgebra
  ) -> Double {
    let (m, n) = (a.rowCount, a.columnCount)
    precondition(n == size, "\(n) columns in a metric of \(size)")
    if m == 0 { return 0 }
    let parts = EvenParts(m, atMost: LinearAlgebra.tileRows, fewest: 2)
    let sums = Buffer<Double>(count: parts.count)
    let (source, upper) = unsafe (a.pointer, UnsafePointer(feedback.upper.pointer))
    let weights = feedback.weights
    algebra.pool.run(parts.count) { part, _ in
      let rows = parts[part]
      let product = Buffer<Float>(count: rows.count * n)
      unsafe product.pointer.update(from: source + rows.lowerBound * n, count: rows.count * n)
      unsafe Float.multiplyByUnitUpper(rows.count, n, product.pointer, n, upper, n)
      unsafe sums.pointer[part] = weightedSquares(product, weights)
    }
    return (0..<parts.count).reduce(0) { $0 + sums[$1] }
  }
}

/// The sum over rows and columns j of weights[j] x_j^2.
private func weightedSquares(_ x: borrowing Buffer<Float>, _ weights: [Float]) -> Double {
  let n = weights.count
  var total = 0.0
  unsafe weights.withUnsafeBufferPointer { weights in
    guard let w = weights.baseAddress else { return }
    for start in stride(from: 0, to: x.count, by: n) {
      let row = unsafe x.pointer + start
      // Independent sums, which the processor can compute at the same time.
      var sums = SIMD8<Double>()
      var column = 0
      while column + 8 <= n {
        let number = unsafe UnsafeRawPointer(row + column).loadUnaligned(as: SIMD8<Float>.self)
        let weight = unsafe UnsafeRawPointer(w + column).loadUnaligned(as: SIMD8<Float>.self)
        let wide = SIMD8<Double>(number)
        sums += wide * wide * SIMD8<Double>(weight)
        column += 8
      }
      total += sums.sum()
      while column < n {
        total += unsafe Double(row[column]) * Double(row[column]) * Double(w[column])
        column += 1
      }
    }
  }
  return total
}
