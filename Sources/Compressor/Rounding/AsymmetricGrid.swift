package import DuetRuntime

/// The values of an integer format with an offset: scale * (code - zero), where zero is one of the codes.
///
/// So one of the values is exactly zero, unlike on the symmetric grid. Without rotation this matters: inputs
/// with large activations often have small weights, and an error of half a scale there costs most. Scales
/// have few enough bits that scale * zero, which is stored as the offset, is exact in F16.
///
/// Source: the grid of GPTQ, arXiv:2210.17323, and AWQ, arXiv:2306.00978.
package struct AsymmetricGrid: RoundingGrid {
  private let largestCode: Float
  private let clips: [Float]
  /// How many low bits of a scale's significand are zero: as many as a code has bits.
  private let clearedBits: UInt16

  /// The grid of `format`.
  ///
  /// - Parameters:
  ///   - format: An integer format of at most four bits.
  ///   - fit: How the range of a group is found.
  /// - Precondition: It is an integer format of at most four bits.
  package init(_ format: WeightFormat, fit: ScaleFit = .search) {
    precondition(
      format.coding == .integers && format != .int8, "\(format.rawValue) has no asymmetric grid")
    largestCode = Float(format.largestCode)
    clearedBits = UInt16(format.bitsPerCode)
    clips = fit.clips
  }

  package var step: Int { 1 }
  package var kind: GridKind { .asymmetric }

  /// 1.5 * 2^23: adding and subtracting it rounds a number below 2^22 to the nearest integer.
  private static let roundingShift: Float = 12_582_912

  private func rounded(_ x: SIMD16<Float>) -> SIMD16<Float> {
    (x + Self.roundingShift) - Self.roundingShift
  }

  private func clamped(_ codes: SIMD16<Float>) -> SIMD16<Float> {
    codes.clamped(
      lowerBound: SIMD16(repeating: 0), upperBound: SIMD16(repeating: largestCode))
  }

  /// Finds the scale of a group for every row, and the offset, from the range of the weights.
  ///
  /// [low, high] is the range of the weights and 0. For a candidate c of `clips`, the scale is
  /// c (high - low) / largestCode, and zero is the code nearest to -c low / scale. The candidate chosen has
  /// the least error
  ///
  ///     sum over columns c of weights[c] * (scale * (code - zero) - x[c])^2
  package func fitScales(
    _ x: UnsafePointer<Float>, columns: Int, rows: Int, stride: Int,
    weights: UnsafePointer<Float>, scales: UnsafeMutablePointer<Float>
  ) {
    for first in Swift.stride(from: 0, to: rows, by: 16) {
      var (low, high) = (SIMD16<Float>(), SIMD16<Float>())
      for column in 0..<columns {
        let values = unsafe self.values(x + column * stride + first)
        low.replace(with: values, where: values .< low)
        high.replace(with: values, where: values .> high)
      }
      var (best, bestOffset) = (SIMD16<Float>(), SIMD16<Float>())
      var bestError = SIMD16<Float>(repeating: .infinity)
      for clip in clips {
        let scale = stored((high - low) * (clip / largestCode))
        let inverse = Self.inverse(scale)
        let zero = clamped(rounded(-low * clip * inverse))
        var sums = SIMD16<Float>()
        for column in 0..<columns {
          let values = unsafe self.values(x + column * stride + first)
          let codes = clamped(rounded(values * inverse + zero))
          let difference = (codes - zero) * scale - values
          sums += unsafe difference * difference * weights[column]
        }
        let improves = sums .< bestError
        best.replace(with: scale, where: improves)
        bestOffset.replace(with: -zero * scale, where: improves)
        bestError.replace(with: sums, where: improves)
      }
      for lane in 0..<min(16, rows - first) {
        unsafe scales[first + lane] = best[lane]
        unsafe scales[stride + first + lane] = bestOffset[lane]
      }
    }
  }

  private func values(_ x: UnsafePointer<Float>) -> SIMD16<Float> {
    unsafe UnsafeRawPointer(x).loadUnaligned(as: SIMD16<Float>.self)
  }

  private static func inverse(_ scale: SIMD16<Float>) -> SIMD16<Float> {
    var result = SIMD16<Float>()
    for lane in 0..<16 { result[lane] = scale[lane] > 0 ? 1 / scale[lane] : 0 }
    return result
  }

  /// Scales rounded to F16 numbers whose last bits are zero, so that scale * code is exact in F16.
  ///
  /// Too large scales are clipped, so that the offset, up to `largestCode` times as large, is finite.
  private func stored(_ scales: SIMD16<Float>) -> SIMD16<Float> {
    let limit = Float(Float16.greatestFiniteMagnitude) / (2 * largestCode)
    let half = UInt16(1) << (clearedBits - 1)
    var result = SIMD16<Float>()
    for lane in 0..<16 {
      // The bit patterns of positive F16 numbers are in the order of the numbers, so rounding the pattern
      // rounds the number.
      let bits = Float16(min(scales[lane], limit)).bitPattern
      result[lane] = Float(Float16(bitPattern: ((bits + half) >> clearedBits) << clearedBits))
    }
    return result
  }

  package func round(
    _ x: UnsafePointer<Float>, columns: Int, rows: Int, stride: Int,
    scales: UnsafePointer<Float>, values: UnsafeMutablePointer<Float>
  ) {
    for column in 0..<columns {
      let (source, target) = unsafe (x + column * stride, values + column * stride)
      for row in 0..<rows {
        let (scale, offset) = unsafe (scales[row], scales[stride + row])
        let inverse = scale > 0 ? 1 / scale : 0
        let code = unsafe ((source[row] - offset) * inverse).rounded(.toNearestOrEven)
        unsafe target[row] = max(0, min(code, largestCode)) * scale + offset
      }
    }
  }
}
