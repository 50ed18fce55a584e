internal import DuetRuntime
internal import DuetSystem

/// The rounding of L to few bits, component by component; each corrects for the errors of those before it.
///
/// The components of a row of L share a scale, so all components should be about equally large. The feedback
/// from earlier components can be many times larger than a component itself, because the contributions of
/// components differ by orders of magnitude. But a column of L can be divided by any number if its row of R
/// is multiplied by the same number. So for each component, once its target is known, the divisor c_j with
/// the least error is searched:
///
///     t_j = l_j + sum over i < j of (l_i - c_i q_i) U_ij,      q_j = round(t_j / c_j)
struct LeftFactorRounding {
  private let format: WeightFormat
  private let blockSize: GroupSize?
  private let grid: IntegerGrid
  private let algebra: LinearAlgebra

  /// Rounding to an integer format, with the scales of `CompressedFormat.leftLayout`.
  init(_ algebra: LinearAlgebra, _ format: WeightFormat, blockSize: GroupSize?) {
    self.algebra = algebra
    self.format = format
    self.blockSize = blockSize
    grid = IntegerGrid(format)
  }

  /// The divisors that are tried, relative to the growth of a component by feedback.
  ///
  /// Half to double in steps of 6 %. With sixteen values for a Gaussian column, such steps cost less than
  /// 0.1 %.
  private static let divisors: [Float] = (-12...12).map { step in
    var divisor: Float = 1
    for _ in 0..<abs(step) { divisor *= step < 0 ? 1 / 1.06 : 1.06 }
    return divisor
  }

  /// Rounds L.
  ///
  /// - Parameters:
  ///   - left: L^T, (rank, m): components of equal length, in the order in which they are rounded.
  ///   - feedback: U of the metric R H R^T, (rank, rank), or nil for rounding to nearest.
  /// - Returns: L (m, rank) divided by the divisors; R must be fitted to it afterwards.
  /// - Complexity: O(m * rank * (rank + divisors)).
  func round(
    _ left: borrowing Matrix<Float>, feedback: borrowing FeedbackFactor?
  ) -> QuantizedMatrix {
    let (rank, m) = (left.rowCount, left.columnCount)
    let result = QuantizedMatrix(
      CompressedFormat.leftLayout(format, outputSize: m, rank: rank, blockSize: blockSize))
    let layout = result.layout
    let width = FeedbackRounding.groupColumns(layout)
    let upper = Matrix<Float>(rowCount: rank, columnCount: rank)
    switch feedback {
    case .none: break
    case .some(let factor):
      unsafe upper.pointer.update(from: factor.upper.pointer, count: rank * rank)
    }
    // Transposed and padded to 16 rows, as the grid needs them.
    let remaining = TransposedRows(columns: rank, rows: m)
    for component in 0..<rank {
      unsafe remaining.pointer(component).update(from: left.pointer + component * m, count: m)
    }
    let scales = TransposedRows(columns: layout.groupCount, rows: m)
    let ones = Buffer<Float>(count: width)
    for index in 0..<width { unsafe ones.pointer[index] = 1 }
    for group in 0..<layout.groupCount {
      unsafe grid.fitScales(
        remaining.pointer(group * width), columns: min(width, rank - group * width), rows: m,
        stride: remaining.stride, weights: ones.pointer, scales: scales.pointer(group))
    }
    let target = TransposedRows(columns: 1, rows: m)
    let rounded = TransposedRows(columns: rank, rows: m)
    for component in 0..<rank {
      let (t, l, q) = unsafe (
        target.pointer(0), remaining.pointer(component), rounded.pointer(component)
      )
      unsafe t.update(from: l, count: m)
      if component > 0 {
        unsafe Float.multiply(
          true, false, 1, remaining.stride, component, 1, upper.pointer + component, rank,
          remaining.pointer(0), remaining.stride, 1, t, remaining.stride)
      }
      let divisor = unsafe bestDivisor(t, l, count: m, scales.pointer(component / width), q)
      for row in 0..<m { unsafe l[row] -= divisor * q[row] }
    }
    unsafe rounded.store(to: result.values.pointer)
    unsafe scales.store(to: result.scales.pointer)
    return result
  }

  /// Finds the divisor of the least error for one component.
  ///
  /// `values` is set to the component rounded with it.
  private func bestDivisor(
    _ target: UnsafePointer<Float>, _ original: UnsafePointer<Float>, count: Int,
    _ scales: UnsafePointer<Float>, _ values: UnsafeMutablePointer<Float>
  ) -> Float {
    var (own, fed) = (0.0, 0.0)
    for row in 0..<count {
      own += unsafe Double(original[row] * original[row])
      fed += unsafe Double(target[row] * target[row])
    }
    let growth = own > 0 && fed > 0 ? Float((fed / own).squareRoot()) : 1
    var best: Float = 1
    var bestError = Float.infinity
    for divisor in Self.divisors.map({ $0 * growth }) {
      let error = unsafe grid.round(
        target, dividedBy: divisor, rows: count, scales: scales, values: values)
      if error < bestError { (best, bestError) = (divisor, error) }
    }
    _ = unsafe grid.round(target, dividedBy: best, rows: count, scales: scales, values: values)
    return best
  }
}
