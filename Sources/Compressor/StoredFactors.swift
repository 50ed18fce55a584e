package import DuetRuntime

/// L and R as they are stored: their values, and the scales of their grids.
package struct StoredFactors: ~Copyable {
  /// How both are stored.
  package let format: CompressionPlan.FactorFormat
  /// The values that a reader gets.
  package var product: LowRankProduct
  /// The scales of L, (outputSize, groups); empty in half precision.
  package var leftScales: Matrix<Float>
  /// The scales of R, (rank, groups); empty in half precision.
  package var rightScales: Matrix<Float>

  /// Factors of rank 0.
  package init(outputSize: Int, inputSize: Int) {
    self.init(
      .f16, LowRankProduct(rank: 0, outputSize: outputSize, inputSize: inputSize),
      leftScales: Matrix(rowCount: 0, columnCount: 0),
      rightScales: Matrix(rowCount: 0, columnCount: 0))
  }

  init(
    _ format: CompressionPlan.FactorFormat, _ product: consuming LowRankProduct,
    leftScales: consuming Matrix<Float>, rightScales: consuming Matrix<Float>
  ) {
    self.format = format
    self.product = product
    self.leftScales = leftScales
    self.rightScales = rightScales
  }

  /// The inner size.
  package var rank: Int { product.rank }

  /// Second factors with the same numbers.
  package borrowing func copy() -> StoredFactors {
    StoredFactors(
      format, product.copy(), leftScales: leftScales.copy(), rightScales: rightScales.copy())
  }

  /// The bytes of both factors of a matrix.
  package static func byteCount(
    _ format: CompressionPlan.FactorFormat, rank: Int, outputSize: Int, inputSize: Int
  ) -> Int {
    if rank == 0 { return 0 }
    switch format {
    case .f16: return 2 * rank * (outputSize + inputSize)
    case .int4:
      return CompressedFormat.leftLayout(outputSize: outputSize, rank: rank).byteCount()
        + CompressedFormat.rightLayout(rank: rank, inputSize: inputSize).byteCount()
    }
  }
}
