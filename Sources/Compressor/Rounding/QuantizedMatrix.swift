public import DuetRuntime

/// A matrix whose values are on the grid of a packed format, with the scales and offsets of the grid.
///
/// Codes are not kept: they are computed from values, scales and offsets when the matrix is packed.
public struct QuantizedMatrix: ~Copyable {
  /// The format, group size and shape.
  public let layout: PackedLayout
  /// Whether values have an offset.
  public let grid: GridKind
  /// The numbers that a reader of the packed matrix gets, (outputSize, inputSize).
  public var values: Matrix<Float>
  /// The scales, (outputSize, groupCount); on an asymmetric grid (outputSize, 2 groupCount).
  ///
  /// On an asymmetric grid every scale is followed by its offset. Scales are 0 or larger; scales and
  /// offsets are exact in F16.
  public var scales: Matrix<Float>

  /// A matrix of zeros with scales of zero.
  package init(_ layout: PackedLayout, grid: GridKind = .symmetric) {
    self.layout = layout
    self.grid = grid
    values = Matrix(rowCount: layout.outputSize, columnCount: layout.inputSize)
    scales = Matrix(
      rowCount: layout.outputSize, columnCount: layout.groupCount * grid.parameterCount)
  }

  private init(
    _ layout: PackedLayout, _ grid: GridKind, values: consuming Matrix<Float>,
    scales: consuming Matrix<Float>
  ) {
    self.layout = layout
    self.grid = grid
    self.values = values
    self.scales = scales
  }

  /// A copy of the matrix.
  package borrowing func copy() -> QuantizedMatrix {
    QuantizedMatrix(layout, grid, values: values.copy(), scales: scales.copy())
  }

  /// The scale of `row` and `group`.
  package borrowing func scale(row: Int, group: Int) -> Float {
    scales[row, group * grid.parameterCount]
  }

  /// The offset of `row` and `group`: a value is code * scale + offset.
  package borrowing func offset(row: Int, group: Int) -> Float {
    switch grid {
    case .asymmetric: scales[row, group * 2 + 1]
    case .symmetric: -layout.format.zeroPoint * scales[row, group]
    }
  }
}

extension GridKind {
  /// How many numbers each row has for a group of columns: the scale, and the offset if there is one.
  package var parameterCount: Int { self == .asymmetric ? 2 : 1 }
}
