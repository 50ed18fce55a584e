import DuetRuntime
import Kernels
import Testing

/// Rounding to integers times a scale: every set against `portable`, bit for bit, and all of them against a
/// search of all codes in Double.
@Suite("Kernels for rounding to integers")
struct IntegerRoundingTests {
  /// The largest code and the zero point of 2, 3, 4 and 8 bits.
  static let formats: [(largest: Float, zero: Float)] = [(3, 1.5), (7, 3.5), (15, 7.5), (254, 127)]

  private func scales(_ count: Int) -> [Float] {
    // 0 now and then, and exact in F16.
    (0..<count).map { $0 % 13 == 5 ? 0 : Float($0 % 7 + 1) / 16 }
  }

  @Test(
    "values are the nearest, for every number of rows", arguments: kernelTables, formats.indices)
  func valuesAreTheNearest(name: String, index: Int) {
    let (largest, zero) = Self.formats[index]
    var generator = RandomGenerator(seed: 41)
    for rows in [0, 1, 7, 8, 15, 16, 17, 33, 100] {
      let x = gaussians(rows, &generator)
      let scales = scales(rows)
      var y = [Float](repeating: 77, count: rows + 1)
      table(name).round_integers(x, scales, rows, zero, largest, &y)
      #expect(y[rows] == 77)
      for row in 0..<rows {
        let values = (0...Int(largest)).map { (Double($0) - Double(zero)) * Double(scales[row]) }
        let least = values.map { abs($0 - Double(x[row])) }.min() ?? 0
        // x / scale is rounded to single precision, of numbers up to 64: within 2^-18 of a scale of 1/2.
        #expect(abs(Double(y[row]) - Double(x[row])) <= least + 0x1p-18, "\(name) \(rows) \(row)")
        #expect(values.contains { abs($0 - Double(y[row])) < 1e-9 })
      }
    }
  }

  @Test(
    "every set agrees with the portable one, bit for bit",
    arguments: kernelTables.filter { $0 != "portable" }, formats.indices)
  func everySetAgreesWithPortable(name: String, index: Int) {
    let (largest, zero) = Self.formats[index]
    var generator = RandomGenerator(seed: 42)
    for columns in [1, 2, 31, 128] {
      let (x, weights) = (gaussians(columns * 48, &generator), gaussians(columns, &generator))
      let positive = weights.map(\.magnitude)
      let scales = scales(16)
      var (expected, actual) = ([Float](repeating: 1, count: 16), [Float](repeating: 2, count: 16))
      table("portable").integer_errors(x, columns, 48, positive, scales, zero, largest, &expected)
      table(name).integer_errors(x, columns, 48, positive, scales, zero, largest, &actual)
      #expect(expected.map(\.bitPattern) == actual.map(\.bitPattern))
    }
    for rows in [1, 15, 16, 17, 32, 47, 200] {
      let (x, scales) = (gaussians(rows, &generator), scales(rows))
      for divisor in [Float(1), 0.37, 2.9] {
        var (expected, actual) = (
          [Float](repeating: 1, count: rows), [Float](repeating: 2, count: rows)
        )
        let first = table("portable").round_divided(
          x, divisor, scales, rows, zero, largest, &expected)
        let second = table(name).round_divided(x, divisor, scales, rows, zero, largest, &actual)
        #expect(first.bitPattern == second.bitPattern && expected == actual, "\(name) \(rows)")
      }
    }
  }

  @Test("errors are those of the rounded values", arguments: kernelTables)
  func errorsAreThoseOfTheValues(name: String) {
    let (largest, zero) = Self.formats[2]
    var generator = RandomGenerator(seed: 43)
    let (columns, rows) = (40, 16)
    let x = gaussians(columns * rows, &generator)
    let weights = gaussians(columns, &generator).map(\.magnitude)
    let scales = scales(rows)
    var (errors, sums) = ([Float](repeating: 0, count: 16), [Double](repeating: 0, count: 16))
    table(name).integer_errors(x, columns, rows, weights, scales, zero, largest, &errors)
    var column = [Float](repeating: 0, count: rows)
    for c in 0..<columns {
      let numbers = Array(x[c * rows..<(c + 1) * rows])
      table(name).round_integers(numbers, scales, rows, zero, largest, &column)
      for row in 0..<rows {
        let difference = Double(column[row]) - Double(numbers[row])
        sums[row] += difference * difference * Double(weights[c])
      }
      // With a divisor the error is that of divisor * value.
      var divided = [Float](repeating: 0, count: rows)
      let error = table(name).round_divided(numbers, 0.5, scales, rows, zero, largest, &divided)
      let exact = (0..<rows).reduce(0.0) {
        let difference = Double(numbers[$1]) - 0.5 * Double(divided[$1])
        return $0 + difference * difference
      }
      // 16 squares in single precision, none negative.
      #expect(abs(Double(error) - exact) <= 16 * 0x1p-23 * exact + 1e-12)
    }
    // 40 products in single precision, none negative.
    for row in 0..<16 { #expect(abs(Double(errors[row]) - sums[row]) <= 40 * 0x1p-22 * sums[row]) }
  }
}
