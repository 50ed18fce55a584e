package import DuetRuntime
internal import DuetSystem

/// L and R as they are stored: their values, and the scales of their grids.
public struct StoredFactors: ~Copyable {
  /// How both are stored.
  package let storage: FactorStorage
  /// The values that a reader gets.
  package var product: LowRankProduct
  /// The scales of L, (outputSize, groups); empty in half precision.
  package var leftScales: Matrix<Float>
  /// The scales of R, (rank, groups); empty in half precision.
  package var rightScales: Matrix<Float>

  /// Factors of rank 0.
  public init(outputSize: Int, inputSize: Int) {
    self.init(
      FactorStorage(.f16), LowRankProduct(rank: 0, outputSize: outputSize, inputSize: inputSize),
      leftScales: Matrix(rowCount: 0, columnCount: 0),
      rightScales: Matrix(rowCount: 0, columnCount: 0))
  }

  init(
    _ storage: FactorStorage, _ product: consuming LowRankProduct,
    leftScales: consuming Matrix<Float>, rightScales: consuming Matrix<Float>
  ) {
    self.storage = storage
    self.product = product
    self.leftScales = leftScales
    self.rightScales = rightScales
  }

  /// The rank, the number of components.
  public var rank: Int { product.rank }

  /// A copy of the factors.
  package borrowing func copy() -> StoredFactors {
    StoredFactors(
      storage, product.copy(), leftScales: leftScales.copy(), rightScales: rightScales.copy())
  }

  /// The components of these factors, followed by those of `other`, in the storage of `other`.
  ///
  /// - Precondition: If L has scales, these factors consist of whole blocks.
  package borrowing func appending(_ other: borrowing StoredFactors) -> StoredFactors {
    StoredFactors(
      other.storage,
      LowRankProduct(
        leftTransposed: product.leftTransposed.appendingRows(other.product.leftTransposed),
        right: product.right.appendingRows(other.product.right)),
      leftScales: leftScales.appendingColumns(other.leftScales),
      rightScales: rightScales.appendingRows(other.rightScales))
  }
}

extension Matrix<Float> {
  /// The rows of this matrix, followed by those of `other`; only `other` if this matrix has no rows.
  fileprivate borrowing func appendingRows(_ other: borrowing Matrix<Float>) -> Matrix<Float> {
    if rowCount == 0 { return other.copy() }
    precondition(columnCount == other.columnCount, "rows of \(columnCount), \(other.columnCount)")
    var result = Matrix<Float>(rowCount: rowCount + other.rowCount, columnCount: columnCount)
    for index in 0..<rowCount * columnCount { result.elements[index] = elements[index] }
    let start = rowCount * columnCount
    for index in 0..<other.rowCount * columnCount {
      result.elements[start + index] = other.elements[index]
    }
    return result
  }

  /// The columns of this matrix, followed by those of `other`; only `other` if this one has no columns.
  fileprivate borrowing func appendingColumns(_ other: borrowing Matrix<Float>) -> Matrix<Float> {
    if columnCount == 0 { return other.copy() }
    precondition(rowCount == other.rowCount, "columns of \(rowCount), \(other.rowCount)")
    var result = Matrix<Float>(rowCount: rowCount, columnCount: columnCount + other.columnCount)
    for row in 0..<rowCount {
      for column in 0..<columnCount { result[row, column] = self[row, column] }
      for column in 0..<other.columnCount { result[row, columnCount + column] = other[row, column] }
    }
    return result
  }
}
