internal import DuetRuntime
internal import DuetSystem

/// The sum of d x^T over the tokens, d being the original model minus the compressed one at some point and
/// x an input of the compressed model there.
struct CrossMoment: ~Copyable {
  /// The numbers of a difference d.
  let rowCount: Int
  /// The numbers of an input x.
  let columnCount: Int
  /// The tokens so far.
  private(set) var tokenCount = 0

  private let sum: TiledSum

  /// A sum of nothing.
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
  /// - Precondition: There was a token.
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
