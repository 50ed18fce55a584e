/// The scales of sixteen rows.
extension SIMD16<Float> {
  /// sqrt(sum of weights[c] x[c]^2 / sum of weights[c]) of sixteen rows; 0 where all weights are 0.
  ///
  /// x is (columns, rows), `stride` numbers from one column to the next.
  static func rootMeanSquare(
    _ x: UnsafePointer<Float>, columns: Int, stride: Int, weights: UnsafePointer<Float>
  ) -> SIMD16<Float> {
    var sums = SIMD16<Float>()
    var total: Float = 0
    for column in 0..<columns {
      let numbers = unsafe UnsafeRawPointer(x + column * stride).loadUnaligned(
        as: SIMD16<Float>.self)
      let weight = unsafe weights[column]
      sums += numbers * numbers * weight
      total += weight
    }
    return total > 0 ? (sums / total).squareRoot() : .zero
  }

  /// Rounded to F16; too large numbers become its largest finite number, not infinity.
  var storedAsHalf: SIMD16<Float> {
    var result = self
    for lane in 0..<16 {
      result[lane] = Float(Float16(Swift.min(self[lane], Float(Float16.greatestFiniteMagnitude))))
    }
    return result
  }
}
