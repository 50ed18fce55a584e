public import DuetSystem

/// An owned (rowCount, columnCount) matrix of a plain type, row major and 64-byte aligned.
///
/// Rows follow each other without padding. The members that loops call are inlinable, so that they are as fast
/// in other modules as here. A matrix never changes its size; `copy()` makes a copy.
public struct Matrix<Element: BitwiseCopyable>: ~Copyable {
  /// The number of rows.
  public let rowCount: Int
  /// The number of columns.
  public let columnCount: Int

  /// The elements, row after row.
  @usableFromInline
  package var elements: Buffer<Element>

  /// A matrix of zeros.
  ///
  /// - Precondition: Neither size is negative, and the elements fit in memory.
  public init(rowCount: Int, columnCount: Int) {
    let (count, overflow) = rowCount.multipliedReportingOverflow(by: columnCount)
    precondition(
      rowCount >= 0 && columnCount >= 0 && !overflow, "a matrix of \(rowCount) x \(columnCount)")
    self.rowCount = rowCount
    self.columnCount = columnCount
    elements = Buffer(count: count)
  }

  private init(rowCount: Int, columnCount: Int, elements: consuming Buffer<Element>) {
    self.rowCount = rowCount
    self.columnCount = columnCount
    self.elements = elements
  }

  /// The element of a row and column.
  ///
  /// - Precondition: Both are inside the matrix.
  @inlinable
  public subscript(row: Int, column: Int) -> Element {
    get { elements[index(row, column)] }
    set { elements[index(row, column)] = newValue }
  }

  @inlinable
  func index(_ row: Int, _ column: Int) -> Int {
    precondition(
      row >= 0 && row < rowCount && column >= 0 && column < columnCount,
      "(\(row), \(column)) of a matrix of \(rowCount) x \(columnCount)")
    return row * columnCount + column
  }

  /// The elements of a row.
  ///
  /// - Precondition: `row` is in `0 ..< rowCount`.
  @inlinable
  @_lifetime(borrow self)
  public borrowing func row(_ row: Int) -> Span<Element> {
    precondition(row >= 0 && row < rowCount, "row \(row) of \(rowCount)")
    return elements.span.extracting(row * columnCount..<(row + 1) * columnCount)
  }

  /// A second matrix with the same elements.
  ///
  /// - Complexity: O(rowCount * columnCount).
  public borrowing func copy() -> Matrix {
    Matrix(rowCount: rowCount, columnCount: columnCount, elements: elements.copy())
  }

  /// The address of the first element, valid while this matrix lives.
  @unsafe
  @inlinable
  package var pointer: UnsafeMutablePointer<Element> { unsafe elements.pointer }
}

extension Matrix: Sendable where Element: Sendable {}
