internal import DuetRuntime
internal import DuetSystem

/// The sum of d x^T over the tokens.
///
/// d is a vector of the original model minus the same vector of the compressed one; x is an input of a linear
/// layer in the compressed model.
struct CrossMoment: ~Copyable {
  /// The size of d.
  let rowCount: Int
  /// The size of x.
  let columnCount: Int
  /// The number of tokens added so far.
  private(set) var tokenCount = 0

  private let sum: TiledSum

  /// An empty sum.
  init(rowCount: Int, columnCount: Int, _ algebra: LinearAlgebra) {
    self.rowCount = rowCount
    self.columnCount = columnCount
    sum = TiledSum(rowCount: rowCount, columnCount: columnCount, algebra.pool)
  }

  /// Adds d x^T for every token.
  ///
  /// - Parameters:
  ///   - differences: d, (tokenCount, rowCount).
  ///   - inputs: x, (tokenCount, columnCount).
  ///   - tokenCount: The number of rows.
  /// - Complexity: O(tokenCount * rowCount * columnCount).
  mutating func add(
    _ differences: borrowing Buffer<Float>, _ inputs: borrowing Buffer<Float>, tokenCount: Int
  ) {
    let (rows, columns) = (rowCount, columnCount)
    precondition(
      differences.count >= tokenCount * rows && inputs.count >= tokenCount * columns,
      "\(differences.count) and \(inputs.count) numbers of \(tokenCount) tokens")
    unsafe sum.add(
      differences.pointer, stride: rows, inputs.pointer, stride: columns, tokenCount: tokenCount)
    self.tokenCount += tokenCount
  }

  /// The mean of d x^T, transposed: (columnCount, rowCount).
  ///
  /// - Precondition: At least one token was added.
  consuming func finish(_ algebra: LinearAlgebra) -> Matrix<Double> {
    precondition(tokenCount > 0, "a mean over \(tokenCount) tokens")
    let result = algebra.transposed(sum.sums)
    let (numbers, count) = unsafe (result.pointer, Double(tokenCount))
    algebra.forEachChunk(result.elements.count) { range in
      for index in range { unsafe numbers[index] /= count }
    }
    return result
  }
}
