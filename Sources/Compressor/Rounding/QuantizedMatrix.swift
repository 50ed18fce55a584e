public import DuetRuntime

/// A matrix on the grid of a packed format: its values, and the scales and offsets that they follow from.
///
/// The codes follow from both and are computed when the matrix is packed.
public struct QuantizedMatrix: ~Copyable {
  /// The format, group size and shape.
  public let layout: PackedLayout
  /// Whether values have an offset.
  public let grid: GridKind
  /// (outputSize, inputSize): the numbers that a reader of the packed matrix gets.
  public var values: Matrix<Float>
  /// (outputSize, groupCount), each a number that F16 holds exactly, 0 or larger; on an asymmetric grid
  /// (outputSize, 2 groupCount), every scale followed by its offset, which is such a number too.
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

  /// A second matrix with the same values and scales.
  package borrowing func copy() -> QuantizedMatrix {
    QuantizedMatrix(layout, grid, values: values.copy(), scales: scales.copy())
  }

  /// The scale of `row` and `group`.
  package borrowing func scale(row: Int, group: Int) -> Float {
    scales[row, group * grid.parameterCount]
  }

  /// What is added to the multiples of the scale of `row` and `group`.
  package borrowing func offset(row: Int, group: Int) -> Float {
    switch grid {
    case .asymmetric: scales[row, group * 2 + 1]
    case .symmetric: -layout.format.zeroPoint * scales[row, group]
    }
  }
}

extension GridKind {
  /// The numbers that a group of columns has in a row: the scale, and the offset if there is one.
  package var parameterCount: Int { self == .asymmetric ? 2 : 1 }
}
