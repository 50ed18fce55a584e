package import DuetRuntime
internal import DuetSystem

extension FeedbackRounding {
  /// Rounds the columns of Q again, one at a time, while all other columns and all scales are fixed.
  ///
  /// With G = (W - Q) H the best column j before rounding is q_j + G_j / H_jj. For a lattice the best block
  /// of columns is q_B + G_B H_BB^-1. A rounded column or block replaces the old one in the rows where it
  /// lowers the error, so the error never grows.
  ///
  /// - Parameters:
  ///   - weight: W, (m, n).
  ///   - hessian: H, (n, n), symmetric and positive definite.
  ///   - sweeps: The most passes over all columns; fewer when a pass changes nothing.
  ///   - result: Q and its scales; Q is changed.
  /// - Returns: By how much tr((W - Q) H (W - Q)^T) has fallen.
  /// - Complexity: O(sweeps * m * n^2).
  ///
  /// Source: the sweeps of QuIP#, arXiv:2402.04396, appendix; "Bid-Up" of arXiv:2606.01412.
  @discardableResult
  package func polish(
    _ weight: borrowing Matrix<Float>, hessian: borrowing Matrix<Float>, sweeps: Int,
    _ result: inout QuantizedMatrix
  ) -> Double {
    let n = weight.columnCount
    precondition(hessian.rowCount == n, "a Hessian of \(hessian.rowCount) for \(n) columns")
    let parts = RowParts(rowCount: weight.rowCount, rowStep: grid.rowStep)
    let gains = Buffer<Double>(count: parts.count)
    let (source, values, scales) = unsafe (
      weight.pointer, result.values.pointer, result.scales.pointer
    )
    let layout = result.layout
    let parameterCount = result.scales.columnCount
    let metric = unsafe UnsafePointer(hessian.pointer)
    let inverses = Self.inverseBlocks(of: hessian, step: grid.step)
    algebra.pool.run(parts.count) { part, _ in
      let rows = parts[part]
      let remaining = unsafe TransposedRows(
        source + rows.lowerBound * n, columns: n, rows: rows.count)
      let rounded = unsafe TransposedRows(
        values + rows.lowerBound * n, columns: n, rows: rows.count)
      let groupScales = unsafe TransposedRows(
        scales + rows.lowerBound * parameterCount, columns: parameterCount, rows: rows.count)
      let (w, q) = unsafe (remaining.pointer(0), rounded.pointer(0))
      for index in 0..<n * remaining.stride { unsafe w[index] -= q[index] }
      var gain = 0.0
      for _ in 0..<sweeps {
        let gained = unsafe sweep(
          remaining, rounded, groupScales, layout, metric, inverses.pointer)
        if gained == 0 { break }
        gain += gained
      }
      unsafe gains.pointer[part] = gain
      unsafe rounded.store(to: values + rows.lowerBound * n)
    }
    return (0..<parts.count).reduce(0) { $0 + gains[$1] }
  }

  /// The columns whose gradient is computed by one product.
  private static let sweepColumns = 128

  /// Makes one pass over all columns of some rows.
  ///
  /// `remaining` is W - Q, `rounded` is Q; both are changed.
  ///
  /// - Returns: By how much the error has fallen.
  private func sweep(
    _ remaining: borrowing TransposedRows, _ rounded: borrowing TransposedRows,
    _ scales: borrowing TransposedRows, _ layout: PackedLayout, _ metric: UnsafePointer<Float>,
    _ inverses: UnsafePointer<Float>
  ) -> Double {
    let (n, stride, rows, step) = (remaining.columns, remaining.stride, remaining.rows, grid.step)
    let width = Self.groupColumns(layout)
    let gradient = TransposedRows(columns: min(Self.sweepColumns, n), rows: rows)
    let changes = TransposedRows(columns: min(Self.sweepColumns, n), rows: rows)
    let candidates = TransposedRows(columns: step, rows: rows)
    var gain = 0.0
    for block in Swift.stride(from: 0, to: n, by: Self.sweepColumns) {
      let end = min(block + Self.sweepColumns, n)
      // G^T of the block, with all earlier changes: H[block, :] (W - Q)^T.
      unsafe Float.multiply(
        false, false, end - block, stride, n, 1, metric + block * n, n, remaining.pointer(0),
        stride, 0, gradient.pointer(0), stride)
      for column in Swift.stride(from: block, to: end, by: step) {
        let count = min(step, end - column)
        if column > block {
          // Subtract the effect of the changes made inside the block so far.
          unsafe Float.multiply(
            true, false, count, stride, column - block, -1, metric + block * n + column, n,
            changes.pointer(0), stride, 1, gradient.pointer(column - block), stride)
        }
        let (q, g) = unsafe (rounded.pointer(column), gradient.pointer(column - block))
        unsafe Float.multiply(
          false, false, count, stride, count, 1, inverses + column / step * step * step,
          step, g, stride, 0, candidates.pointer(0), stride)
        let candidate = unsafe candidates.pointer(0)
        for index in 0..<count * stride { unsafe candidate[index] += q[index] }
        unsafe grid.round(
          candidate, columns: count, rows: rows, stride: stride,
          scales: scales.pointer(column / width * grid.kind.parameterCount), values: candidate)
        gain += unsafe accept(
          candidate, q, g, changes.pointer(column - block), remaining.pointer(column),
          count: count, rows: rows, stride: stride,
          metric + column * n + column, n)
      }
    }
    return gain
  }

  /// Accepts the candidates in the rows where they lower the error.
  ///
  /// With d = candidate - q the error changes by d H_BB d^T - 2 d g^T. Rows that are rounded together are
  /// accepted together.
  ///
  /// - Returns: By how much the error has fallen.
  private func accept(
    _ candidate: UnsafeMutablePointer<Float>, _ q: UnsafeMutablePointer<Float>,
    _ g: UnsafeMutablePointer<Float>, _ changes: UnsafeMutablePointer<Float>,
    _ remaining: UnsafeMutablePointer<Float>, count: Int, rows: Int, stride: Int,
    _ metric: UnsafePointer<Float>, _ metricStride: Int
  ) -> Double {
    var gain = 0.0
    let rowStep = grid.rowStep
    for first in Swift.stride(from: 0, to: rows, by: rowStep) {
      let together = first..<min(first + rowStep, rows)
      var delta: Float = 0
      for row in together {
        for i in 0..<count {
          let d = unsafe candidate[i * stride + row] - q[i * stride + row]
          if d == 0 { continue }
          var sum: Float = 0
          for j in 0..<count {
            let other = unsafe candidate[j * stride + row] - q[j * stride + row]
            sum += unsafe other * metric[i * metricStride + j]
          }
          delta += unsafe d * (sum - 2 * g[i * stride + row])
        }
      }
      let isBetter = delta < 0
      if isBetter { gain -= Double(delta) }
      for row in together {
        for i in 0..<count {
          let index = i * stride + row
          let d = unsafe isBetter ? candidate[index] - q[index] : 0
          unsafe changes[index] = d
          if d != 0 {
            unsafe remaining[index] -= d
            unsafe q[index] = unsafe candidate[index]
          }
        }
      }
    }
    return gain
  }

  /// The inverses of the diagonal blocks of H, (blocks, step, step).
  private static func inverseBlocks(of hessian: borrowing Matrix<Float>, step: Int) -> Buffer<Float>
  {
    let n = hessian.rowCount
    var result = Buffer<Float>(count: (n + step - 1) / step * step * step)
    for start in stride(from: 0, to: n, by: step) {
      let size = min(step, n - start)
      var block = (0..<size).map { i in
        (0..<size).map { j in Double(hessian[start + i, start + j]) }
          + (0..<size).map { j in i == j ? 1.0 : 0.0 }
      }
      // Gauss-Jordan elimination without pivoting, which a positive definite block does not need.
      for i in 0..<size {
        let pivot = 1 / block[i][i]
        for j in 0..<2 * size { block[i][j] *= pivot }
        for k in 0..<size where k != i {
          let factor = block[k][i]
          for j in 0..<2 * size { block[k][j] -= factor * block[i][j] }
        }
      }
      for i in 0..<size {
        for j in 0..<size {
          result[start / step * step * step + i * step + j] = Float(block[i][size + j])
        }
      }
    }
    return result
  }
}
