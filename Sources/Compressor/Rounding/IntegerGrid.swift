package import DuetRuntime

/// The values of an integer format: scale * (code - zeroPoint), with codes from 0 to the largest one.
///
/// At two to four bits these are the odd multiples of half a scale, and zero is not one of them. For
/// Gaussian weights at two bits this is the best choice.
package struct IntegerGrid: RoundingGrid {
  private let zeroPoint: Float
  private let largestCode: Float
  /// The candidate scales, relative to the one that clips nothing.
  private let clips: [Float]

  /// The grid of `format`.
  ///
  /// - Parameters:
  ///   - format: An integer format.
  ///   - fit: How scales are found.
  /// - Precondition: The format is not e8p.
  package init(_ format: WeightFormat, fit: ScaleFit = .search) {
    precondition(format != .e8p, "the values of e8p are no multiples of a scale")
    clips = fit.clips
    zeroPoint = format.zeroPoint
    largestCode = Float(format.largestCode)
  }

  package var step: Int { 1 }

  /// 1.5 * 2^23: adding and subtracting it rounds a number below 2^22 to the nearest integer, with two
  /// vector instructions that every processor has.
  private static let roundingShift: Float = 12_582_912

  /// The code of x / scale, as a number.
  @inline(__always)
  private func code(_ scaled: Float) -> Float {
    let shifted = scaled + zeroPoint
    let low = shifted > 0 ? shifted : 0
    let clamped = low < largestCode ? low : largestCode
    return (clamped + Self.roundingShift) - Self.roundingShift
  }

  package func fitScales(
    _ x: UnsafePointer<Float>, columns: Int, rows: Int, stride: Int,
    weights: UnsafePointer<Float>, scales: UnsafeMutablePointer<Float>
  ) {
    // Sixteen rows at a time: their group fits in the first-level cache.
    for first in Swift.stride(from: 0, to: rows, by: 16) {
      var largest = SIMD16<Float>()
      for column in 0..<columns {
        for lane in 0..<16 {
          let magnitude = unsafe x[column * stride + first + lane].magnitude
          if magnitude > largest[lane] { largest[lane] = magnitude }
        }
      }
      var best = SIMD16<Float>()
      var bestError = SIMD16<Float>(repeating: .infinity)
      for clip in clips {
        let scale = Self.stored(largest * (clip / (largestCode - zeroPoint + 0.5)))
        let error = unsafe error(
          x + first, columns: columns, stride: stride, weights: weights, scale: scale)
        let improves = error .< bestError
        best.replace(with: scale, where: improves)
        bestError.replace(with: error, where: improves)
      }
      for lane in 0..<min(16, rows - first) { unsafe scales[first + lane] = best[lane] }
    }
  }

  /// Scales rounded to F16; too large ones become its largest finite number, not infinity.
  private static func stored(_ scales: SIMD16<Float>) -> SIMD16<Float> {
    var result = scales
    for lane in 0..<16 {
      result[lane] = Float(Float16(min(scales[lane], Float(Float16.greatestFiniteMagnitude))))
    }
    return result
  }

  /// The weighted squared errors of sixteen rows, each with its scale.
  private func error(
    _ x: UnsafePointer<Float>, columns: Int, stride: Int, weights: UnsafePointer<Float>,
    scale: SIMD16<Float>
  ) -> SIMD16<Float> {
    var inverse = SIMD16<Float>()
    for lane in 0..<16 { inverse[lane] = scale[lane] > 0 ? 1 / scale[lane] : 0 }
    var sums = SIMD16<Float>()
    for column in 0..<columns {
      let weight = unsafe weights[column]
      let values = unsafe UnsafeRawPointer(x + column * stride).loadUnaligned(
        as: SIMD16<Float>.self)
      var codes = values * inverse + zeroPoint
      codes.replace(with: 0, where: codes .< 0)
      codes.replace(with: largestCode, where: codes .> largestCode)
      codes = (codes + Self.roundingShift) - Self.roundingShift
      let difference = (codes - zeroPoint) * scale - values
      sums += difference * difference * weight
    }
    return sums
  }

  package func round(
    _ x: UnsafePointer<Float>, columns: Int, rows: Int, stride: Int,
    scales: UnsafePointer<Float>, values: UnsafeMutablePointer<Float>
  ) {
    for column in 0..<columns {
      let (source, target) = unsafe (x + column * stride, values + column * stride)
      for row in 0..<rows {
        let scale = unsafe scales[row]
        let inverse = scale > 0 ? 1 / scale : 0
        unsafe target[row] = unsafe (code(source[row] * inverse) - zeroPoint) * scale
      }
    }
  }
}
