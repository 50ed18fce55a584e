internal import DuetSystem

/// The embedding of a model, (vocabularySize, hiddenSize), dense or packed; a row is the vector of a token.
///
/// Where the output head is tied to the embedding, both are views of the same stored matrix.
struct Embedding: Sendable {
  /// The number of rows.
  let rowCount: Int
  /// The number of columns.
  let columnCount: Int
  /// The names of the stored tensors.
  let tensorNames: [String]
  /// The stored matrix, when it is dense.
  let dense: DenseMatrix?

  private let packed: PackedMatrix?

  /// The rows of a linear layer.
  ///
  /// - Precondition: The layer is one dense matrix, or one packed matrix alone.
  init(_ linear: Linear) {
    dense = linear.dense.parts.first?.matrix
    packed = linear.compressed?.linear.parts.first?.quantized
    precondition(
      linear.names.count == 1 && (dense == nil) != (packed == nil),
      "an embedding of the matrices \(linear.names)")
    rowCount = linear.outputSize
    columnCount = linear.inputSize
    tensorNames = dense.map { [$0.name] } ?? linear.compressed?.tensorNames ?? []
  }

  /// Copies a row as Float; the numbers are those that are stored.
  ///
  /// - Parameters:
  ///   - row: A row, less than `rowCount`.
  ///   - target: (columnCount), overwritten.
  /// - Complexity: O(columnCount); no allocation.
  @unsafe
  func copy(row: Int, to target: UnsafeMutablePointer<Float>) {
    precondition(row >= 0 && row < rowCount, "row \(row) of \(rowCount)")
    if let dense {
      // Widening is exact in every set of kernels.
      unsafe KernelSet.standard.widen(
        dense.pointer(toRow: row), dense.elementType, columnCount, target)
    } else if let packed {
      var numbers = unsafe MutableSpan(_unsafeStart: target, count: columnCount)
      packed.dequantize(row: row, into: &numbers)
    }
  }
}
