package import DuetRuntime
internal import DuetSystem

/// Rounding of a weight matrix column by column; each column corrects for the errors of those before it.
///
/// With H = U D U^T and W (m, n), the target of column j and its rounding are
///
///     t_j = w_j + sum over i < j of (w_i - q_i) U_ij,      q_j = round(t_j),
///
/// and the error is exactly tr((W - Q) H (W - Q)^T) = sum over j of D_j |t_j - q_j|^2, because column j
/// of (W - Q) U is t_j - q_j. On a lattice, blocks of columns take the place of columns: see
/// `FeedbackBlocks`. By default the scales of a group are fitted to the original weights, weighted with D,
/// before anything is rounded. The targets grow as errors accumulate, so scales fitted to them would grow
/// too.
///
/// Source: LDLQ of Chee et al., QuIP, arXiv:2307.13304, equation 2; equal to GPTQ, Frantar et al.,
/// arXiv:2210.17323, in exact arithmetic, without the inverse of H.
package struct FeedbackRounding {
  /// When the scales of a group are fitted.
  package enum ScaleTiming: Sendable {
    /// Before anything is rounded, to the original weights.
    case atStart
    /// When the block of 128 columns is reached, to the weights plus the feedback from earlier blocks.
    case onEntry
  }

  /// The threads to compute with.
  package let algebra: LinearAlgebra
  /// The values that weights can have.
  package let grid: any RoundingGrid
  /// When scales are fitted; a scale for a whole row is always fitted at the start.
  package let timing: ScaleTiming

  /// Rounding to `grid`.
  package init(
    _ algebra: LinearAlgebra, _ grid: any RoundingGrid, timing: ScaleTiming = .atStart
  ) {
    self.algebra = algebra
    self.grid = grid
    self.timing = timing
  }

  /// The columns of a block, at whose start scales can be fitted.
  private static let blockColumns = 128

  /// Rounds a matrix with feedback.
  ///
  /// - Parameters:
  ///   - weight: W, (m, n).
  ///   - feedback: U and D of the Hessian (n, n), its rows and columns in the order of rounding.
  ///   - order: The columns in the order in which they are rounded, or nil for the order of the matrix. The
  ///     groups do not depend on it: this is GPTQ's "act-order" with static groups.
  ///   - result: Q and its scales, overwritten; its layout gives the group size.
  /// - Returns: tr((W - Q) H (W - Q)^T).
  /// - Precondition: With an order, `grid.step` is 1 and scales are fitted at the start.
  /// - Complexity: O(m * n^2).
  @discardableResult
  package func round(
    _ weight: borrowing Matrix<Float>, feedback: borrowing FeedbackFactor, order: [Int]? = nil,
    into result: inout QuantizedMatrix
  ) -> Double {
    let n = weight.columnCount
    precondition(feedback.size == n, "feedback of \(feedback.size) columns, not \(n)")
    precondition(
      order == nil || (grid.step == 1 && timing == .atStart), "an order of columns that go together"
    )
    check(weight, result)
    let parts = RowParts(rowCount: weight.rowCount, rowStep: grid.rowStep)
    let errors = Buffer<Double>(count: parts.count)
    let (source, values, scales) = unsafe (
      weight.pointer, result.values.pointer, result.scales.pointer
    )
    let layout = result.layout
    let upper = unsafe UnsafePointer(feedback.upper.pointer)
    let blocks = feedback.blocks(of: grid.step)
    let weights = blocks.weights
    let places = Places(order, layout, grid)
    let fitWeights = places.inFileOrder(weights)
    let (metric, transform) = unsafe (blocks.metric.pointer, blocks.transform.pointer)
    algebra.pool.run(parts.count) { part, _ in
      let rows = parts[part]
      let remaining = unsafe TransposedRows(
        source + rows.lowerBound * n, columns: n, rows: rows.count)
      let rounded = TransposedRows(columns: n, rows: rows.count)
      let groupScales = fit(remaining, fitWeights, layout)
      if let order { remaining.reorder(order) }
      let error = unsafe feedBack(
        remaining, into: rounded, groupScales, layout, weights, places, upper: upper,
        metric: metric, transform: transform)
      unsafe errors.pointer[part] = error
      if let order { rounded.restore(order) }
      unsafe rounded.store(to: values + rows.lowerBound * n)
      unsafe groupScales.store(to: scales + rows.lowerBound * groupScales.columns)
    }
    return (0..<parts.count).reduce(0) { $0 + errors[$1] }
  }

  /// Rounds every weight to the nearest value, with scales of the least squared error.
  ///
  /// - Parameters:
  ///   - weight: W, (m, n).
  ///   - importances: (n), the weights of the columns' errors when scales are fitted, or nil for equal ones.
  ///   - result: Q and its scales, overwritten.
  /// - Complexity: O(m * n).
  package func roundToNearest(
    _ weight: borrowing Matrix<Float>, importances: [Float]? = nil,
    into result: inout QuantizedMatrix
  ) {
    check(weight, result)
    let n = weight.columnCount
    precondition(importances?.count ?? n == n, "importances of other columns")
    let parts = RowParts(rowCount: weight.rowCount, rowStep: grid.rowStep)
    let (source, values, scales) = unsafe (
      weight.pointer, result.values.pointer, result.scales.pointer
    )
    let layout = result.layout
    let weights = importances ?? [Float](repeating: 1, count: n)
    algebra.pool.run(parts.count) { part, _ in
      let rows = parts[part]
      let block = unsafe TransposedRows(
        source + rows.lowerBound * n, columns: n, rows: rows.count)
      let groupScales = fit(block, weights, layout)
      for column in Swift.stride(from: 0, to: n, by: grid.step) {
        unsafe grid.round(
          block.pointer(column), columns: min(grid.step, n - column), rows: rows.count,
          stride: block.stride,
          scales: groupScales.pointer(
            column / Self.groupColumns(layout) * grid.kind.parameterCount),
          values: block.pointer(column))
      }
      unsafe block.store(to: values + rows.lowerBound * n)
      unsafe groupScales.store(to: scales + rows.lowerBound * groupScales.columns)
    }
  }

  private func check(_ weight: borrowing Matrix<Float>, _ result: borrowing QuantizedMatrix) {
    let layout = result.layout
    precondition(
      weight.rowCount == layout.outputSize && weight.columnCount == layout.inputSize,
      "(\(weight.rowCount), \(weight.columnCount)) into (\(layout.outputSize), \(layout.inputSize))"
    )
    precondition(result.grid == grid.kind, "a \(result.grid.rawValue) grid for another one")
  }

  /// The columns of a group.
  static func groupColumns(_ layout: PackedLayout) -> Int {
    layout.groupSize.columnCount ?? layout.inputSize
  }

  /// The scales of all groups, with their offsets if there are any: (groups * parameters, rows).
  private func fit(
    _ rows: borrowing TransposedRows, _ weights: [Float], _ layout: PackedLayout
  ) -> TransposedRows {
    let parameters = grid.kind.parameterCount
    let result = TransposedRows(columns: layout.groupCount * parameters, rows: rows.rows)
    let width = Self.groupColumns(layout)
    unsafe weights.withUnsafeBufferPointer { weights in
      guard let weights = weights.baseAddress else { return }
      for group in 0..<layout.groupCount {
        let start = group * width
        unsafe grid.fitScales(
          rows.pointer(start), columns: min(width, rows.columns - start), rows: rows.rows,
          stride: rows.stride, weights: weights + start,
          scales: result.pointer(group * parameters))
      }
    }
    return result
  }

  /// Fits the scales of the groups of some columns to W plus the feedback.
  private func refit(
    _ scales: borrowing TransposedRows, _ remaining: borrowing TransposedRows,
    _ fedBack: borrowing TransposedRows, columns: Range<Int>, _ weights: [Float],
    _ layout: PackedLayout
  ) {
    let width = Self.groupColumns(layout)
    let targets = TransposedRows(columns: columns.count, rows: remaining.rows)
    let (target, fed, weight) = unsafe (
      targets.pointer(0), fedBack.pointer(0), remaining.pointer(columns.lowerBound)
    )
    for index in 0..<columns.count * targets.stride {
      unsafe target[index] = unsafe weight[index] + fed[index]
    }
    unsafe weights.withUnsafeBufferPointer { weights in
      guard let weights = weights.baseAddress else { return }
      for start in Swift.stride(from: 0, to: columns.count, by: width) {
        let column = columns.lowerBound + start
        unsafe grid.fitScales(
          targets.pointer(start), columns: min(width, columns.count - start),
          rows: targets.rows, stride: targets.stride, weights: weights + column,
          scales: scales.pointer(column / width * grid.kind.parameterCount))
      }
    }
  }

  /// Rounds some rows: `remaining` is W and becomes W - Q, `rounded` becomes Q.
  ///
  /// Feedback goes from the first half of the columns to the second, and within the halves in the same way. So
  /// nearly all of it is in a few large products of matrices.
  ///
  /// - Returns: The error of these rows.
  private func feedBack(
    _ remaining: borrowing TransposedRows, into rounded: borrowing TransposedRows,
    _ scales: borrowing TransposedRows, _ layout: PackedLayout, _ weights: [Float],
    _ places: Places, upper: UnsafePointer<Float>, metric: UnsafePointer<Float>,
    transform: UnsafePointer<Float>
  ) -> Double {
    let (n, stride, rows) = (remaining.columns, remaining.stride, remaining.rows)
    let refits = timing == .onEntry && Self.blockColumns % Self.groupColumns(layout) == 0
    // The feedback to a column from those before it, as far as they are rounded.
    let fedBack = TransposedRows(columns: n, rows: rows)
    let targets = TransposedRows(columns: grid.step, rows: rows)
    let target = unsafe targets.pointer(0)
    /// Rounds columns that have all feedback from the columns before them, and returns their error.
    func round(_ columns: Range<Int>) -> Double {
      if refits, columns.count <= Self.blockColumns, columns.lowerBound > 0,
        columns.lowerBound % Self.blockColumns == 0,
        columns.count == Self.blockColumns || columns.upperBound == n
      {
        refit(scales, remaining, fedBack, columns: columns, weights, layout)
      }
      if columns.count <= grid.step { return roundTogether(columns) }
      // Blocks are never divided between the halves.
      let unit = columns.count > Self.blockColumns ? Self.blockColumns : grid.step
      let units = (columns.count + unit - 1) / unit
      let middle = columns.lowerBound + units / 2 * unit
      let (first, second) = (columns.lowerBound..<middle, middle..<columns.upperBound)
      var error = round(first)
      // fedBack[second] += U[first, second]^T (W - Q)[first]
      unsafe Float.multiply(
        true, false, second.count, stride, first.count, 1,
        upper + first.lowerBound * n + second.lowerBound, n, remaining.pointer(first.lowerBound),
        stride, 1, fedBack.pointer(second.lowerBound), stride)
      error += round(second)
      return error
    }
    /// Rounds columns that are rounded together on this grid, and returns their error.
    func roundTogether(_ columns: Range<Int>) -> Double {
      let column = columns.lowerBound
      let (left, value) = unsafe (remaining.pointer(column), rounded.pointer(column))
      let fed = unsafe fedBack.pointer(column)
      let place = column / grid.step * grid.step * grid.step
      let count = columns.count * stride
      unsafe target.update(from: left, count: count)
      if grid.step == 1 {
        // The transform is 1.
        for index in 0..<stride { unsafe target[index] += fed[index] }
      } else {
        unsafe Float.multiply(
          false, false, columns.count, stride, columns.count, 1, transform + place, grid.step,
          fed, stride, 1, target, stride)
      }
      unsafe grid.round(
        target, columns: columns.count, rows: rows, stride: stride,
        scales: scales.pointer(places.scales[column]), values: value)
      for index in 0..<count {
        unsafe left[index] -= value[index]
        unsafe target[index] -= value[index]
      }
      return unsafe weightedSquares(
        target, columns: columns.count, stride: stride, metric + place)
    }
    return round(0..<n)
  }

  /// The sum over rows of x^T B x for a block B of the metric.
  private func weightedSquares(
    _ x: UnsafePointer<Float>, columns: Int, stride: Int, _ metric: UnsafePointer<Float>
  ) -> Double {
    var total = 0.0
    for i in 0..<columns {
      for j in 0...i {
        var sums = SIMD16<Float>()
        for row in Swift.stride(from: 0, to: stride, by: 16) {
          let p = unsafe UnsafeRawPointer(x + i * stride + row).loadUnaligned(
            as: SIMD16<Float>.self)
          let q = unsafe UnsafeRawPointer(x + j * stride + row).loadUnaligned(
            as: SIMD16<Float>.self)
          sums += p * q
        }
        var sum = 0.0
        for lane in 0..<16 { sum += Double(sums[lane]) }
        total += unsafe sum * Double(metric[i * grid.step + j]) * (i == j ? 1 : 2)
      }
    }
    return total
  }
}

/// The places of the scales of columns that are rounded in a given order.
private struct Places {
  /// The columns in the order of rounding, or nil for the order of the matrix.
  private let order: [Int]?
  /// For every column in the order of rounding, the place of its group's scale.
  let scales: [Int]

  init(_ order: [Int]?, _ layout: PackedLayout, _ grid: any RoundingGrid) {
    self.order = order
    let width = FeedbackRounding.groupColumns(layout)
    let columns = order ?? Array(0..<layout.inputSize)
    scales = columns.map { $0 / width * grid.kind.parameterCount }
  }

  /// Numbers for the columns, moved from the order of rounding to the order of the matrix.
  func inFileOrder(_ numbers: [Float]) -> [Float] {
    guard let order else { return numbers }
    var result = numbers
    for (index, column) in order.enumerated() { result[column] = numbers[index] }
    return result
  }
}
