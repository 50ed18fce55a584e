import DuetCompressor
import DuetRuntime
import DuetSystem
import Foundation
import Testing

@Suite("TrellisGrid")
struct TrellisGridTests {
  private let algebra = LinearAlgebra(WorkerPool(threadCount: 2))
  private static let formats = WeightFormat.allCases.filter { $0.coding == .trellis }

  /// Numbers of the standard normal distribution, by Box and Muller.
  private func gaussians(_ count: Int, seed: UInt64) -> [Float] {
    var generator = RandomGenerator(seed: seed)
    return (0..<count).map { _ in
      let radius = (-2 * log(1 - generator.nextUnit())).squareRoot()
      return Float(radius * cos(2 * Double.pi * generator.nextUnit()))
    }
  }

  private func rounded(
    _ grid: TrellisGrid, _ x: [Float], columns: Int, rows: Int, stride: Int, _ scales: [Float]
  ) -> [Float] {
    var values = [Float](repeating: 77, count: x.count)
    unsafe x.withUnsafeBufferPointer { x in
      unsafe values.withUnsafeMutableBufferPointer { values in
        guard let x = x.baseAddress, let values = values.baseAddress else { return }
        unsafe grid.round(
          x, columns: columns, rows: rows, stride: stride, scales: scales, values: values)
      }
    }
    return values
  }

  private func fitted(
    _ grid: TrellisGrid, _ x: [Float], columns: Int, rows: Int, weights: [Float]
  ) -> [Float] {
    var scales = [Float](repeating: -1, count: rows)
    unsafe grid.fitScales(
      x, columns: columns, rows: rows, stride: rows, weights: weights, scales: &scales)
    return scales
  }

  /// Of 65,536 numbers in 1,024 tiles the mean squared error has a standard error of 0.6 %: the errors of
  /// single numbers vary by 1.4 times their mean, as squares of nearly Gaussian numbers do.
  @Test(
    "columns of Gaussian numbers lose what the code can do",
    arguments: [(WeightFormat.trellis2, 0.0811), (.trellis2_5, 0.0398), (.trellis3, 0.0202)])
  func gaussianError(format: WeightFormat, expected: Double) {
    let (columns, rows) = (256, 256)
    // Deviations of 1/8 ... 8, which the scales must follow, tile by tile and within a tile.
    let deviations = (0..<rows).map { exp2(Float($0 % 13 - 6) / 2) }
    let x = gaussians(columns * rows, seed: 61).enumerated().map {
      $0.element * deviations[$0.offset % rows]
    }
    let grid = TrellisGrid(format)
    let equal = gaussians(columns * rows, seed: 61)
    let weights = [Float](repeating: 1, count: columns)
    let scales = fitted(grid, equal, columns: columns, rows: rows, weights: weights)
    let values = rounded(grid, equal, columns: columns, rows: rows, stride: rows, scales)
    let error = zip(values, equal).reduce(0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
    #expect(abs(error / Double(columns * rows) / expected - 1) < 0.02, "\(error / 65536)")
    // Where the scales of a tile differ, errors of the large rows count most, and their sum is not larger
    // than with equal scales.
    let unequal = fitted(grid, x, columns: columns, rows: rows, weights: weights)
    for (scale, deviation) in zip(unequal, deviations) {
      // The deviation of 256 numbers has a standard error of 4.4 %.
      #expect(abs(scale / (deviation * TrellisCode(format).deviation) - 1) < 0.2)
    }
    let others = rounded(grid, x, columns: columns, rows: rows, stride: rows, unequal)
    let share = zip(others, x).reduce(0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
    let variance = deviations.reduce(0) { $0 + Double($1 * $1) } * Double(columns)
    #expect(share / variance < expected, "\(share / variance)")
  }

  @Test("the scale of a row is its weighted root mean square times a constant", arguments: formats)
  func scales(format: WeightFormat) {
    let (columns, rows) = (48, 80)
    let x = gaussians(columns * rows, seed: 62)
    let weights = gaussians(columns, seed: 63).map { $0 * $0 }
    let scales = fitted(TrellisGrid(format), x, columns: columns, rows: rows, weights: weights)
    let total = weights.reduce(0) { $0 + Double($1) }
    for row in 0..<rows {
      let sum = (0..<columns).reduce(0.0) { sum, column in
        let value = Double(x[column * rows + row])
        return sum + Double(weights[column]) * value * value
      }
      let expected = (sum / total).squareRoot() * Double(TrellisCode(format).deviation)
      // Half a step of F16, and sums of 48 numbers in single precision.
      #expect(abs(Double(scales[row]) / expected - 1) < exp2(-11) + 48 * exp2(-23))
      #expect(Float(Float16(scales[row])) == scales[row])
    }
  }

  @Test("zeros, huge and tiny numbers give finite values", arguments: formats)
  func unusualScales(format: WeightFormat) {
    let (columns, rows) = (16, 64)
    var x = gaussians(columns * rows, seed: 64)
    let magnitudes: [Float] = [0, 1e-30, 1e-9, 1e5, 1e30, 1]
    for index in x.indices { x[index] *= magnitudes[index % rows % magnitudes.count] }
    let weights = [Float](repeating: 1, count: columns)
    let grid = TrellisGrid(format)
    let scales = fitted(grid, x, columns: columns, rows: rows, weights: weights)
    let values = rounded(grid, x, columns: columns, rows: rows, stride: rows, scales)
    for row in 0..<rows {
      let column = (0..<columns).map { values[$0 * rows + row] }
      switch row % magnitudes.count {
      case 0, 1, 2: #expect(scales[row] == 0 && column.allSatisfy { $0 == 0 })
      case 3: #expect(scales[row] > 5e4 && scales[row] <= 65504)
      case 4: #expect(scales[row] == 65504 && column.allSatisfy { abs($0) <= 65504 * 2 })
      default: #expect(scales[row] > 0.5 && scales[row] < 4)
      }
    }
  }

  @Test("a last tile of fewer rows, and rows behind the last", arguments: formats)
  func lastTile(format: WeightFormat) {
    let (columns, rows, stride) = (8, 83, 96)
    let x = gaussians(columns * stride, seed: 65)
    let scales = (0..<rows).map { 0.5 + Float($0) / 128 }
    let grid = TrellisGrid(format)
    let values = rounded(grid, x, columns: columns, rows: rows, stride: stride, scales)
    for column in 0..<columns {
      for row in 0..<stride {
        let value = values[column * stride + row]
        guard row < rows else {
          #expect(value == 77)
          continue
        }
        let integer = value / (scales[row] * format.unit)
        #expect(integer == integer.rounded() && abs(integer) <= 31)
      }
    }
    // Rows that are not there cost nothing: the last 19 rows come no less near than those of a whole tile.
    func error(_ part: Range<Int>) -> Double {
      (0..<columns).reduce(0) { sum, column in
        part.reduce(sum) {
          let difference = values[column * stride + $1] - x[column * stride + $1]
          return $0 + Double(difference * difference) / Double(part.count)
        }
      }
    }
    #expect(error(64..<83) < 1.5 * error(0..<64))
  }

  @Test("all kernels give the same values", arguments: KernelSet.supported)
  func kernelSets(set: KernelSet) {
    let x = gaussians(4 * 64, seed: 66)
    let scales = (0..<64).map { 0.5 + Float($0) / 64 }
    for format in Self.formats {
      let expected = rounded(
        TrellisGrid(format), x, columns: 4, rows: 64, stride: 64, scales)
      let values = rounded(TrellisGrid(format, set), x, columns: 4, rows: 64, stride: 64, scales)
      #expect(values == expected)
    }
  }

  // MARK: - In a matrix

  private static let shapes = [(1, 1), (1, 130), (15, 7), (64, 65), (130, 64), (300, 130)]

  @Test(
    "the error that feedback returns, and what descent gains", arguments: formats, shapes)
  func errors(format: WeightFormat, shape: (Int, Int)) throws {
    let (m, n) = shape
    let hessian = Numerics.hessian(n, seed: 67, algebra)
    var work = hessian.copy()
    let factor = try FeedbackFactor(&work, algebra)
    let weight = Numerics.weights(m, n, seed: 68, deviation: 0.02)
    let rounding = FeedbackRounding(algebra, TrellisGrid(format))
    var q = QuantizedMatrix(PackedLayout(format, groupSize: .row, outputSize: m, inputSize: n))
    let error = rounding.round(weight, feedback: factor, into: &q)
    let measured = Numerics.error(weight, q.values, hessian, algebra)
    // As for the other formats: a target is a sum of up to n products in single precision.
    #expect(abs(error - measured) <= 2 * Double(n + 8) * 3e-8 * 8 * measured)
    let narrow = algebra.narrowed(hessian)
    let gain = rounding.polish(weight, hessian: narrow, sweeps: 3, &q)
    let left = Numerics.error(weight, q.values, hessian, algebra)
    #expect(gain >= 0)
    #expect(abs(measured - gain - left) <= 2e-5 * measured)
    #expect(n < 64 || left < measured)
    // Every tile is still a word of the code.
    let dense = try Packing("layer", algebra).packed(q).dense()
    #expect((0..<m * n).allSatisfy { dense[$0] == q.values.elements[$0] })
  }

  @Test("with feedback the error is below that of rounding to nearest", arguments: formats)
  func feedbackHelps(format: WeightFormat) throws {
    let (m, n) = (128, 130)
    let hessian = Numerics.hessian(n, seed: 69, algebra)
    var work = hessian.copy()
    let factor = try FeedbackFactor(&work, algebra)
    let weight = Numerics.weights(m, n, seed: 70, deviation: 0.02)
    let rounding = FeedbackRounding(algebra, TrellisGrid(format))
    var q = QuantizedMatrix(PackedLayout(format, groupSize: .row, outputSize: m, inputSize: n))
    var nearest = q.copy()
    let error = rounding.round(weight, feedback: factor, into: &q)
    rounding.roundToNearest(weight, into: &nearest)
    #expect(error < Numerics.error(weight, nearest.values, hessian, algebra))
  }
}
