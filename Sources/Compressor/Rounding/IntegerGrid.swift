package import DuetRuntime
internal import Kernels

/// The values of an integer format: scale * (code - zeroPoint), with codes from 0 to the largest one.
///
/// At two to four bits these are the odd multiples of half a scale, and zero is not one of them. For
/// Gaussian weights at two bits this is the best choice.
package struct IntegerGrid: RoundingGrid {
  private let kernelSet: KernelSet
  private let zeroPoint: Float
  private let largestCode: Float
  /// The candidate scales, relative to the one that clips nothing.
  private let clips: [Float]

  /// The grid of `format`.
  ///
  /// - Parameters:
  ///   - format: An integer format.
  ///   - fit: How scales are found.
  ///   - kernelSet: The kernels that round; all sets give identical results.
  /// - Precondition: It is an integer format.
  package init(
    _ format: WeightFormat, fit: ScaleFit = .search, _ kernelSet: KernelSet = .standard
  ) {
    precondition(
      format.coding == .integers, "the values of \(format.rawValue) are no multiples of a scale")
    self.kernelSet = kernelSet
    clips = fit.clips
    zeroPoint = format.zeroPoint
    largestCode = Float(format.largestCode)
  }

  package var step: Int { 1 }

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
        let scale = (largest * (clip / (largestCode - zeroPoint + 0.5))).storedAsHalf
        let error = unsafe error(
          x + first, columns: columns, stride: stride, weights: weights, scale: scale)
        let improves = error .< bestError
        best.replace(with: scale, where: improves)
        bestError.replace(with: error, where: improves)
      }
      for lane in 0..<min(16, rows - first) { unsafe scales[first + lane] = best[lane] }
    }
  }

  /// The weighted squared errors of sixteen rows, each with its scale.
  private func error(
    _ x: UnsafePointer<Float>, columns: Int, stride: Int, weights: UnsafePointer<Float>,
    scale: SIMD16<Float>
  ) -> SIMD16<Float> {
    var errors = SIMD16<Float>()
    unsafe withUnsafeBytes(of: scale) { scales in
      unsafe withUnsafeMutableBytes(of: &errors) { errors in
        let (scales, errors) = unsafe (
          scales.assumingMemoryBound(to: Float.self), errors.assumingMemoryBound(to: Float.self)
        )
        guard let source = scales.baseAddress, let target = errors.baseAddress else { return }
        unsafe kernelSet.table.pointee.integer_errors(
          x, columns, stride, weights, source, zeroPoint, largestCode, target)
      }
    }
    return errors
  }

  package func round(
    _ x: UnsafePointer<Float>, columns: Int, rows: Int, stride: Int,
    scales: UnsafePointer<Float>, values: UnsafeMutablePointer<Float>
  ) {
    for column in 0..<columns {
      unsafe kernelSet.table.pointee.round_integers(
        x + column * stride, scales, rows, zeroPoint, largestCode, values + column * stride)
    }
  }

  /// Rounds a column that is divided by a number.
  ///
  /// - Parameters:
  ///   - x: (rows).
  ///   - divisor: The number, which is positive.
  ///   - rows: The number of rows.
  ///   - scales: (rows).
  ///   - values: (rows), set to the values nearest to x / divisor; not `x` itself.
  /// - Returns: The sum of (x - divisor * value)^2.
  func round(
    _ x: UnsafePointer<Float>, dividedBy divisor: Float, rows: Int, scales: UnsafePointer<Float>,
    values: UnsafeMutablePointer<Float>
  ) -> Float {
    unsafe kernelSet.table.pointee.round_divided(
      x, divisor, scales, rows, zeroPoint, largestCode, values)
  }
}
