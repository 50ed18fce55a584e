package import DuetRuntime
internal import DuetSystem

/// The fitting of factors that are stored in few bits: L R near A in the metric of the activations.
///
/// From the best factors of full precision it alternates, s times at most:
///
///     L <- round(A H R^T (R H R^T)^-1)       least squares for the current R
///     R <- round((L^T L)^-1 L^T A)           least squares for the current L; H cancels
///
/// and keeps the pair with the least error. Before L is rounded its columns are made equally long and put
/// in descending order of contribution. Near the least squares solution, errors of L are weighted with
/// R H R^T and errors of R with H: these are the metrics of rounding with feedback. Both can also be rounded
/// to nearest.
///
/// Source: LPLR, section 3 of CALDERA, arXiv:2405.18886; the rounding with feedback is our own.
package struct LowRankFitting {
  let algebra: LinearAlgebra
  /// How L and R are stored.
  let storage: FactorStorage
  /// How they are rounded.
  let rounding: FactorRounding
  /// s; factors in half precision always take one round.
  let iterations: Int

  /// A fitting with storage, rounding and at most `iterations` rounds.
  package init(
    _ algebra: LinearAlgebra, _ storage: FactorStorage,
    rounding: FactorRounding, iterations: Int
  ) {
    self.algebra = algebra
    self.storage = storage
    self.rounding = rounding
    self.iterations = iterations
  }

  /// A fitting with the options of a method.
  package init(_ algebra: LinearAlgebra, _ options: LowRankOptions) {
    self.init(
      algebra, options.storage, rounding: options.rounding, iterations: options.innerIterations)
  }

  /// The damping of the small systems, relative to their mean diagonal.
  ///
  /// The eigenvalues of R H R^T differ by many orders of magnitude.
  private static let damping = 1e-6
  /// The fit stops after `patience` rounds in a row that lower the error by less than `smallestGain` of it.
  private static let (patience, smallestGain) = (3, 1e-4)

  /// Fits factors to A.
  ///
  /// - Parameters:
  ///   - a: A, (m, n).
  ///   - square: tr(A H A^T).
  ///   - metric: H and its factors.
  ///   - rank: r.
  ///   - start: Factors to begin with, or nil for the best ones of full precision.
  ///   - near: Factors near the best ones, which are then found sooner, or nil.
  /// - Returns: The factors as stored, and tr((A - L R) H (A - L R)^T).
  /// - Throws: `LinearAlgebraError` when numbers are not finite.
  /// - Complexity: O(iterations * r * (m n + n^2)).
  package func fit(
    _ a: borrowing Matrix<Float>, square: Double, _ metric: borrowing Metric, rank: Int,
    start: consuming LowRankProduct? = nil, near: consuming LowRankProduct? = nil
  ) throws(LinearAlgebraError) -> FittedFactors {
    var factors: LowRankProduct
    if let given = start.take() {
      factors = given
    } else {
      var directions: Matrix<Float>?
      if let near = near.take() { directions = near.leftTransposed.copy() }
      factors = try LowRankApproximation(algebra).factors(
        of: a, hessian: metric.hessian, rank: rank, near: directions)
    }
    var best: FittedFactors?
    var bestError = Double.infinity
    var stalled = 0
    var weighted = algebra.product(factors.right, metric.hessian)
    // R H A^T, which the least squares for L and the error of these R need.
    var cross = algebra.product(weighted, a, transposesRight: true)
    for _ in 0..<max(1, storage.format == .f16 ? 1 : iterations) {
      var stored = try roundedLeft(cross, factors.right, weighted)
      try roundRight(of: a, metric, &stored)
      weighted = algebra.product(stored.product.right, metric.hessian)
      cross = algebra.product(weighted, a, transposesRight: true)
      let error = square - gain(of: stored.product, weighted, cross: cross)
      guard error.isFinite else { throw .noConvergence(info: 0) }
      factors = stored.product.copy()
      if error < bestError * (1 - Self.smallestGain) {
        bestError = error
        best = FittedFactors(factors: stored, error: error)
        stalled = 0
      } else {
        stalled += 1
        if stalled == Self.patience { break }
      }
    }
    guard let result = best.take() else { throw .noConvergence(info: 0) }
    return result
  }

  /// tr(A H A^T) - tr((A - L R) H (A - L R)^T) = 2 <L, A H R^T> - <L R H R^T, L>; `weighted` is R H.
  func gain(
    of product: borrowing LowRankProduct, _ weighted: borrowing Matrix<Float>,
    _ a: borrowing Matrix<Float>
  ) -> Double {
    gain(of: product, weighted, cross: algebra.product(weighted, a, transposesRight: true))
  }

  /// The same, with `cross` the product R H A^T.
  private func gain(
    of product: borrowing LowRankProduct, _ weighted: borrowing Matrix<Float>,
    cross: borrowing Matrix<Float>
  ) -> Double {
    let gram = algebra.product(weighted, product.right, transposesRight: true)
    let image = algebra.product(gram, product.leftTransposed)
    return 2 * algebra.dot(cross, product.leftTransposed)
      - algebra.dot(image, product.leftTransposed)
  }

  /// L by least squares, rounded, and R with its rows in the order of L's columns.
  ///
  /// `cross` is R H A^T, and `weighted` is R H.
  private func roundedLeft(
    _ cross: borrowing Matrix<Float>, _ right: borrowing Matrix<Float>,
    _ weighted: borrowing Matrix<Float>
  ) throws(LinearAlgebraError) -> StoredFactors {
    let (rank, m, n) = (right.rowCount, cross.columnCount, right.columnCount)
    var gram = algebra.widened(algebra.product(weighted, right, transposesRight: true))
    damp(&gram)
    // (R H R^T) L^T = R H A^T
    var left = algebra.widened(cross)
    var system = gram.copy()
    try algebra.solve(&system, &left)
    // The columns of L are made equally long; R and R H R^T are scaled to match.
    var lengths = (0..<rank).map { row in
      (0..<m).reduce(0.0) { $0 + left[row, $1] * left[row, $1] }.squareRoot()
    }
    let floor = max(lengths.max() ?? 0, 1e-30) * 1e-12
    for row in 0..<rank { lengths[row] = max(lengths[row], floor) }
    let contributions = (0..<rank).map { gram[$0, $0] * lengths[$0] * lengths[$0] }
    let order = (0..<rank).sorted {
      contributions[$0] == contributions[$1] ? $0 < $1 : contributions[$0] > contributions[$1]
    }
    // The common length makes L and R about equally large, so that neither leaves the range of F16.
    let common = balance(lengths, right)
    var target = Matrix<Float>(rowCount: rank, columnCount: m)
    var metric = Matrix<Double>(rowCount: rank, columnCount: rank)
    var ordered = Matrix<Float>(rowCount: rank, columnCount: n)
    for (place, component) in order.enumerated() {
      let scale = common / lengths[component]
      for row in 0..<m { target[place, row] = Float(left[component, row] * scale) }
      for column in 0..<n {
        ordered[place, column] = Float(Double(right[component, column]) / scale)
      }
      for (other, otherComponent) in order.enumerated() {
        metric[place, other] =
          gram[component, otherComponent] / scale / (common / lengths[otherComponent])
      }
    }
    var scales = Matrix<Float>(rowCount: 0, columnCount: 0)
    if let format = storage.format.weightFormat {
      let rounder = LeftFactorRounding(algebra, format, blockSize: storage.blockSize)
      let result: QuantizedMatrix
      switch rounding {
      case .nearest: result = rounder.round(target, feedback: nil)
      case .feedback:
        damp(&metric)
        result = rounder.round(target, feedback: try FeedbackFactor(&metric, algebra))
      }
      target = algebra.transposed(result.values)
      scales = result.scales.copy()
    } else {
      roundToHalf(&target)
    }
    return StoredFactors(
      storage, LowRankProduct(leftTransposed: target, right: ordered),
      leftScales: scales, rightScales: Matrix(rowCount: 0, columnCount: 0))
  }

  /// Replaces R by the rounded least squares solution for the current L.
  private func roundRight(
    of a: borrowing Matrix<Float>, _ metric: borrowing Metric, _ stored: inout StoredFactors
  ) throws(LinearAlgebraError) {
    let left = stored.product.leftTransposed.copy()
    var system = algebra.widened(algebra.product(left, left, transposesRight: true))
    damp(&system)
    var solution = algebra.widened(algebra.product(left, a))
    try algebra.solve(&system, &solution)
    var right = algebra.narrowed(solution)
    if let format = storage.format.weightFormat {
      var result = QuantizedMatrix(
        CompressedFormat.rightLayout(
          format, rank: right.rowCount, inputSize: right.columnCount))
      // The feedback to the last inputs is larger than R itself, and out of the range of a grid of few
      // values that was fitted to R.
      let rounder = FeedbackRounding(algebra, IntegerGrid(format), timing: .onEntry)
      switch rounding {
      case .nearest: rounder.roundToNearest(right, into: &result)
      case .feedback: rounder.round(right, feedback: metric.feedback, into: &result)
      }
      right = result.values.copy()
      stored.rightScales = result.scales.copy()
    } else {
      roundToHalf(&right)
    }
    stored.product = LowRankProduct(leftTransposed: left, right: right)
  }

  /// The length of L's columns that makes L and R about equally large, a power of two.
  private func balance(_ lengths: [Double], _ right: borrowing Matrix<Float>) -> Double {
    // |L_i| |R_i| is the size of component i; the length is the root of the largest size.
    var largest = 0.0
    for (row, length) in lengths.enumerated() {
      let span = right.row(row)
      var sum = 0.0
      for column in span.indices { sum += Double(span[column]) * Double(span[column]) }
      largest = max(largest, length * sum.squareRoot())
    }
    guard largest > 0, largest.isFinite else { return 1 }
    return Double(sign: .plus, exponent: largest.squareRoot().exponent, significand: 1)
  }

  private func damp(_ a: inout Matrix<Double>) {
    let n = a.rowCount
    let mean = (0..<n).reduce(0) { $0 + a[$1, $1] } / Double(max(n, 1))
    // A matrix of zeros becomes the identity, so that it can be factorised.
    for index in 0..<n { a[index, index] += mean > 0 ? Self.damping * mean : 1 }
  }

  private func roundToHalf(_ a: inout Matrix<Float>) {
    for index in 0..<a.elements.count {
      a.elements[index] = Float(Float16(a.elements[index]))
    }
  }
}

/// Fitted factors with their error.
package struct FittedFactors: ~Copyable {
  /// The factors as stored.
  package var factors: StoredFactors
  /// tr((A - L R) H (A - L R)^T).
  package let error: Double
}
