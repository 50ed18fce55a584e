package import DuetRuntime

/// The values that weights of a format can have, given a scale.
///
/// Arrays are transposed, (columns, rows) with `stride` numbers from one column to the next: the error of
/// a weight matrix is the sum of those of its rows, so every step works on a vector of rows. `stride` is a
/// multiple of 16; rows are padded with zeros to the next multiple of 16.
package protocol RoundingGrid: Sendable {
  /// The number of consecutive columns that are rounded together: 1, or 8 for a lattice.
  var step: Int { get }
  /// The number of rows that are rounded together: 1, or 64 for a trellis code.
  ///
  /// The rows that are rounded at once begin at a multiple of it.
  var rowStep: Int { get }
  /// The operations of rounding one weight, 0 where they are few beside those of the feedback.
  var operationsPerWeight: Double { get }
  /// Whether a group has an offset beside its scale.
  var kind: GridKind { get }

  /// Finds the scale of a group for every row.
  ///
  /// Among the candidates of the grid it is the one with the least error
  ///
  ///     sum over columns c of weights[c] * (round(x[c]) - x[c])^2
  ///
  /// All scales and offsets are exact in F16; a row of zeros gets the scale 0.
  ///
  /// - Parameters:
  ///   - x: (columns, rows).
  ///   - columns: The number of columns, a multiple of `step` except at the end of a matrix.
  ///   - rows: The number of rows, without padding.
  ///   - stride: The distance between columns.
  ///   - weights: (columns), 0 or larger, one of them positive.
  ///   - scales: (rows), overwritten; with offsets (2, rows), the scales and then, at the distance `stride`,
  ///     the offsets.
  @unsafe
  func fitScales(
    _ x: UnsafePointer<Float>, columns: Int, rows: Int, stride: Int,
    weights: UnsafePointer<Float>, scales: UnsafeMutablePointer<Float>)

  /// Rounds `step` columns (fewer at the end of a matrix) to the nearest values.
  ///
  /// - Parameters:
  ///   - x: (columns, rows).
  ///   - columns: The number of columns, at most `step`.
  ///   - rows: The number of rows, without padding.
  ///   - stride: The distance between columns.
  ///   - scales: (rows), or with offsets (2, rows) at the distance `stride`; with a scale of 0 all values are
  ///     0.
  ///   - values: (columns, rows), overwritten; may be `x` itself.
  @unsafe
  func round(
    _ x: UnsafePointer<Float>, columns: Int, rows: Int, stride: Int,
    scales: UnsafePointer<Float>, values: UnsafeMutablePointer<Float>)
}

extension RoundingGrid {
  package var rowStep: Int { 1 }
  package var operationsPerWeight: Double { 0 }
  package var kind: GridKind { .symmetric }
}
