package import DuetRuntime

/// A matrix on the grid of a packed format: its values, and the scales that they are multiples of.
///
/// The codes follow from both and are computed when the matrix is packed.
package struct QuantizedMatrix: ~Copyable {
  /// The format, group size and shape.
  package let layout: PackedLayout
  /// (outputSize, inputSize): the numbers that a reader of the packed matrix gets.
  package var values: Matrix<Float>
  /// (outputSize, groupCount), each a number that F16 holds exactly, 0 or larger.
  package var scales: Matrix<Float>

  /// A matrix of zeros with scales of zero.
  package init(_ layout: PackedLayout) {
    self.layout = layout
    values = Matrix(rowCount: layout.outputSize, columnCount: layout.inputSize)
    scales = Matrix(rowCount: layout.outputSize, columnCount: layout.groupCount)
  }

  private init(
    _ layout: PackedLayout, values: consuming Matrix<Float>, scales: consuming Matrix<Float>
  ) {
    self.layout = layout
    self.values = values
    self.scales = scales
  }

  /// A second matrix with the same values and scales.
  package borrowing func copy() -> QuantizedMatrix {
    QuantizedMatrix(layout, values: values.copy(), scales: scales.copy())
  }
}
