internal import DuetSystem

/// Some rows of a matrix, transposed: (columns, rows), with rows padded with zeros to a multiple of 16.
///
/// Rounding treats all rows alike, so a vector register holds the same column of many rows.
struct TransposedRows: ~Copyable {
  let columns: Int
  /// The number of rows, without padding.
  let rows: Int
  /// The distance between columns: `rows` rounded up to a multiple of 16.
  let stride: Int
  let elements: Buffer<Float>

  /// Rows of zeros.
  init(columns: Int, rows: Int) {
    self.columns = columns
    self.rows = rows
    stride = (rows + 15) / 16 * 16
    elements = Buffer(count: columns * stride)
  }

  /// A copy of rows of a row-major matrix.
  @unsafe
  init(_ source: UnsafePointer<Float>, columns: Int, rows: Int) {
    self.init(columns: columns, rows: rows)
    let target = unsafe elements.pointer
    // Blocks of 16 columns: one cache line of each row.
    for left in Swift.stride(from: 0, to: columns, by: 16) {
      for row in 0..<rows {
        for column in left..<min(left + 16, columns) {
          unsafe target[column * stride + row] = unsafe source[row * columns + column]
        }
      }
    }
  }

  /// The address of a column.
  @unsafe
  func pointer(_ column: Int) -> UnsafeMutablePointer<Float> {
    unsafe elements.pointer + column * stride
  }

  /// Reorders the columns: column i becomes the old column order[i].
  func reorder(_ order: [Int]) {
    let old = copy()
    for (index, column) in order.enumerated() {
      unsafe pointer(index).update(from: old.pointer + column * stride, count: stride)
    }
  }

  /// Undoes `reorder` with the same order.
  func restore(_ order: [Int]) {
    let old = copy()
    for (index, column) in order.enumerated() {
      unsafe pointer(column).update(from: old.pointer + index * stride, count: stride)
    }
  }

  private func copy() -> Buffer<Float> {
    let result = Buffer<Float>(count: elements.count)
    unsafe result.pointer.update(from: elements.pointer, count: elements.count)
    return result
  }

  /// Writes the rows back into a row-major matrix.
  @unsafe
  func store(to target: UnsafeMutablePointer<Float>) {
    let source = unsafe elements.pointer
    for left in Swift.stride(from: 0, to: columns, by: 16) {
      for row in 0..<rows {
        for column in left..<min(left + 16, columns) {
          unsafe target[row * columns + column] = unsafe source[column * stride + row]
        }
      }
    }
  }
}

/// The parts into which the rows of a matrix are divided for threads, which depend on the shape alone.
struct RowParts {
  let rowCount: Int
  let rowsPerPart: Int

  /// Parts of 32 to 256 rows: BLAS is faster with more rows, and each thread should get several parts.
  ///
  /// Rows that a grid rounds together, `rowStep` of them, are never in two parts.
  init(rowCount: Int, rowStep: Int = 1) {
    self.rowCount = rowCount
    let rows = min(256, max(32, (rowCount + 127) / 128 * 16))
    rowsPerPart = (rows + rowStep - 1) / rowStep * rowStep
  }

  var count: Int { (rowCount + rowsPerPart - 1) / rowsPerPart }

  /// The rows of a part.
  subscript(part: Int) -> Range<Int> {
    part * rowsPerPart..<min((part + 1) * rowsPerPart, rowCount)
  }
}
