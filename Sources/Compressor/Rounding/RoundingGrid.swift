package import DuetRuntime

/// The values that weights of a format can have, given a scale.
///
/// Arrays are transposed, (columns, rows) with `stride` numbers from one column to the next: the rows of
/// a weight matrix have nothing to do with each other, so whatever is done to one is done to a vector
/// of them. `stride` is a multiple of 16; there are rows up to the next multiple of 16, which hold zeros
/// where the matrix has none.
package protocol RoundingGrid: Sendable {
  /// The number of consecutive columns that are rounded together: 1, or 8 for a lattice.
  var step: Int { get }
  /// Whether a group has an offset beside its scale.
  var kind: GridKind { get }

  /// Finds the scale of a group for every row: the one with the least error
  ///
  ///     sum over columns c of weights[c] * (round(x[c]) - x[c])^2
  ///
  /// among the candidates of the grid. All scales and offsets are numbers that F16 holds exactly; a row of
  /// zeros gets the scale 0.
  ///
  /// - Parameters:
  ///   - x: (columns, rows).
  ///   - columns: A multiple of `step` except at the end of a matrix.
  ///   - rows: The rows that exist.
  ///   - stride: The distance of columns.
  ///   - weights: (columns), 0 or larger, one of them positive.
  ///   - scales: (rows), overwritten; with offsets (2, rows) at the distance `stride`, the scales and
  ///     the offsets.
  @unsafe
  func fitScales(
    _ x: UnsafePointer<Float>, columns: Int, rows: Int, stride: Int,
    weights: UnsafePointer<Float>, scales: UnsafeMutablePointer<Float>)

  /// Rounds `step` columns (fewer at the end of a matrix) to the nearest values.
  ///
  /// - Parameters:
  ///   - x: (columns, rows).
  ///   - columns: At most `step`.
  ///   - rows: The rows that exist.
  ///   - stride: The distance of columns.
  ///   - scales: (rows), or with offsets (2, rows) at the distance `stride`; a scale of 0 makes all values
  ///     0.
  ///   - values: (columns, rows), overwritten; may be `x` itself.
  @unsafe
  func round(
    _ x: UnsafePointer<Float>, columns: Int, rows: Int, stride: Int,
    scales: UnsafePointer<Float>, values: UnsafeMutablePointer<Float>)
}

extension RoundingGrid {
  package var kind: GridKind { .symmetric }
}
