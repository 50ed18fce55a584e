import DuetCompressor
import DuetRuntime
import DuetSystem
import Testing

/// The grid whose values are scale * (code - zero).
@Suite("AsymmetricGrid")
struct AsymmetricGridTests {
  private let algebra = LinearAlgebra(WorkerPool(threadCount: 2))
  private static let formats = [WeightFormat.int2, .int3, .int4]

  private func rounded(
    _ weight: borrowing Matrix<Float>, _ format: WeightFormat, _ groupSize: GroupSize,
    fit: ScaleFit = .search, importances: [Float]? = nil
  ) -> QuantizedMatrix {
    var result = QuantizedMatrix(
      PackedLayout(
        format, groupSize: groupSize, outputSize: weight.rowCount, inputSize: weight.columnCount),
      grid: .asymmetric)
    FeedbackRounding(algebra, AsymmetricGrid(format, fit: fit)).roundToNearest(
      weight, importances: importances, into: &result)
    return result
  }

  @Test("scales and offsets are exact in F16, and zero is a value", arguments: formats)
  func offsets(format: WeightFormat) {
    let weight = Numerics.weights(37, 200, seed: 411, deviation: 0.02)
    let q = rounded(weight, format, .columns64)
    for row in 0..<37 {
      for group in 0..<q.layout.groupCount {
        let (scale, offset) = (
          q.scale(row: row, group: group), q.offset(row: row, group: group)
        )
        #expect(Float(Float16(scale)) == scale && Float(Float16(offset)) == offset)
        let zero = -offset / scale
        #expect(zero == zero.rounded() && zero >= 0 && zero <= Float(format.largestCode))
      }
    }
  }

  @Test("every value is the nearest of its group", arguments: formats)
  func nearest(format: WeightFormat) {
    let weight = Numerics.weights(19, 130, seed: 412, deviation: 0.02)
    let q = rounded(weight, format, .columns32)
    for row in 0..<19 {
      for column in 0..<130 {
        let (scale, offset) = (
          q.scale(row: row, group: column / 32), q.offset(row: row, group: column / 32)
        )
        let least =
          (0...Int(format.largestCode)).map {
            abs(scale * Float($0) + offset - weight[row, column])
          }.min() ?? 0
        // Two values may be equally far to the last bits of a number below 16 scales.
        #expect(abs(q.values[row, column] - weight[row, column]) <= least + 1e-5 * scale)
      }
    }
  }

  @Test("the range clips nothing but what the rounding of the scale takes", arguments: formats)
  func range(format: WeightFormat) {
    var weight = Numerics.weights(16, 64, seed: 413, deviation: 0.02)
    // Rows of one sign have zero at their end.
    for column in 0..<64 {
      weight[3, column] = abs(weight[3, column])
      weight[4, column] = -abs(weight[4, column])
    }
    let q = rounded(weight, format, .row, fit: .range)
    for row in 0..<16 {
      let scale = q.scale(row: row, group: 0)
      for column in 0..<64 {
        // Half a step, and of a range of largestCode steps what rounding the scale (one part in 2^(11 -
        // bits) at most) and the code of zero, half a step, take from its ends.
        let steps = abs(q.values[row, column] - weight[row, column]) / scale
        let rounding = Float(format.largestCode) / Float(1 << (11 - Int(format.bitsPerCode)))
        #expect(steps <= 1 + rounding, "(\(row), \(column))")
      }
    }
    #expect(q.offset(row: 3, group: 0) == 0)
    #expect(
      q.offset(row: 4, group: 0) == -Float(format.largestCode) * q.scale(row: 4, group: 0))
  }

  @Test("the scales are the best of the candidates, weighted by column", arguments: formats)
  func search(format: WeightFormat) {
    let weight = Numerics.weights(5, 48, seed: 414, deviation: 0.02)
    var generator = RandomGenerator(seed: 415)
    let importances = (0..<48).map { _ in Float(generator.nextUnit() + 0.01) }
    func error(_ q: borrowing QuantizedMatrix, _ row: Int) -> Double {
      (0..<48).reduce(0) { sum, column in
        let difference = Double(q.values[row, column] - weight[row, column])
        return sum + Double(importances[column]) * difference * difference
      }
    }
    let searched = rounded(weight, format, .row, importances: importances)
    let range = rounded(weight, format, .row, fit: .range)
    let largest = Float(format.largestCode)
    for row in 0..<5 {
      #expect(error(searched, row) <= error(range, row))
      // The candidates by definition, in double precision but for the scale.
      let values = (0..<48).map { weight[row, $0] }
      let (low, high) = (min(0, values.min() ?? 0), max(0, values.max() ?? 0))
      var least = Double.infinity
      for index in 0...26 {
        let clip = 1 - 0.025 * Float(index)
        let bits = UInt16(format.bitsPerCode)
        let half = Float16((high - low) * clip / largest).bitPattern
        let scale = Float(
          Float16(bitPattern: ((half + 1 << (bits - 1)) >> bits) << bits))
        let zero = max(0, min(largest, (-low * clip / scale).rounded(.toNearestOrEven)))
        var sum = 0.0
        for (column, value) in values.enumerated() {
          let code = max(0, min(largest, (value / scale + zero).rounded(.toNearestOrEven)))
          let difference = Double(scale * (code - zero) - value)
          sum += Double(importances[column]) * difference * difference
        }
        least = min(least, sum)
      }
      // Sums of 48 squares in single precision decide between candidates: 1e-5 of the sum.
      #expect(error(searched, row) < least * (1 + 1e-5) + 1e-12, "\(row)")
    }
  }

  @Test("a row of zeros gets the scale and the offset 0")
  func zeros() {
    let q = rounded(Matrix<Float>(rowCount: 3, columnCount: 40), .int3, .row)
    let (scaleCount, valueCount) = (q.scales.elements.count, q.values.elements.count)
    #expect((0..<scaleCount).allSatisfy { q.scales.elements[$0] == 0 })
    #expect((0..<valueCount).allSatisfy { q.values.elements[$0] == 0 })
  }

  @Test("rounding in an order is rounding of the columns put into that order", arguments: formats)
  func order(format: WeightFormat) throws {
    let (m, n) = (21, 96)
    let weight = Numerics.weights(m, n, seed: 416, deviation: 0.02)
    let hessian = Numerics.hessian(n, seed: 417, algebra)
    var generator = RandomGenerator(seed: 418)
    var order = Array(0..<n)
    for index in order.indices.reversed() {
      order.swapAt(index, Int(generator.next() % UInt64(index + 1)))
    }
    var ordered = Matrix<Double>(rowCount: n, columnCount: n)
    for i in 0..<n { for j in 0..<n { ordered[i, j] = hessian[order[i], order[j]] } }
    let feedback = try FeedbackFactor(&ordered, algebra)
    let layout = PackedLayout(format, groupSize: .columns32, outputSize: m, inputSize: n)
    var q = QuantizedMatrix(layout, grid: .asymmetric)
    let error = FeedbackRounding(algebra, AsymmetricGrid(format)).round(
      weight, feedback: feedback, order: order, into: &q)
    // The error is that of (5), whatever the order.
    let expected = Numerics.error(weight, q.values, hessian, algebra)
    #expect(abs(error / expected - 1) < 1e-4, "\(error) and \(expected)")
    // Column by column: the target is w + (W - Q) U, and the value the nearest in the group of the file.
    let errors = Numerics.difference(weight, q.values)
    for (place, column) in order.enumerated() {
      for row in 0..<m {
        var target = Double(weight[row, column])
        for (earlier, source) in order.prefix(place).enumerated() {
          target += errors[row, source] * Double(feedback.upper[earlier, place])
        }
        let (scale, offset) = (
          q.scale(row: row, group: column / 32), q.offset(row: row, group: column / 32)
        )
        let least =
          (0...Int(format.largestCode)).map {
            abs(Double(scale) * Double($0) + Double(offset) - target)
          }.min() ?? 0
        let own = abs(Double(q.values[row, column]) - target)
        // Targets are sums of 96 products in single precision of numbers below 32 scales.
        #expect(own <= least + 1e-4 * Double(scale), "(\(row), \(column))")
      }
    }
  }
}
