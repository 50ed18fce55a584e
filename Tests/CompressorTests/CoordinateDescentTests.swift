import DuetCompressor
import DuetRuntime
import Testing

@Suite("CoordinateDescent")
struct CoordinateDescentTests {
  private let algebra = LinearAlgebra(WorkerPool(threadCount: 2))

  private static let shapes = [(1, 1), (1, 130), (15, 64), (17, 65), (130, 37), (65, 300)]

  @Test(
    "the gain is what the error falls by, from rounding to nearest",
    arguments: [WeightFormat.int2, .int4, .e8p], shapes)
  func gain(format: WeightFormat, shape: (Int, Int)) throws {
    let (m, n) = shape
    let hessian = Numerics.hessian(n, seed: 31, algebra)
    let narrow = algebra.narrowed(hessian)
    let weight = Numerics.weights(m, n, seed: 32, deviation: 0.02)
    let rounding = FeedbackRounding(algebra, Numerics.grid(format))
    for groupSize in [GroupSize.row, .columns32] {
      var q = QuantizedMatrix(
        PackedLayout(format, groupSize: groupSize, outputSize: m, inputSize: n))
      rounding.roundToNearest(weight, into: &q)
      let scales = q.scales.copy()
      var error = Numerics.error(weight, q.values, hessian, algebra)
      let start = error
      for sweeps in [1, 1, 3] {
        let gain = rounding.polish(weight, hessian: narrow, sweeps: sweeps, &q)
        let next = Numerics.error(weight, q.values, hessian, algebra)
        #expect(gain >= 0)
        // A change is judged by a gradient of n products in single precision; the bound is for the
        // sum over at most n changes of a row, relative to the error before them.
        #expect(abs(error - next - gain) <= 1e-5 * start, "\(error - next) and \(gain)")
        error = next
      }
      #expect(n == 1 || error < start)
      Numerics.expectIdentical(scales, q.scales)
    }
  }

  @Test(
    "at the end no value of any weight is better", arguments: [WeightFormat.int2, .int3, .int4])
  func optimum(format: WeightFormat) throws {
    let (m, n) = (21, 75)
    let hessian = Numerics.hessian(n, seed: 33, algebra)
    let weight = Numerics.weights(m, n, seed: 34)
    let rounding = FeedbackRounding(algebra, Numerics.grid(format))
    var q = QuantizedMatrix(
      PackedLayout(format, groupSize: .columns64, outputSize: m, inputSize: n))
    rounding.roundToNearest(weight, into: &q)
    rounding.polish(weight, hessian: algebra.narrowed(hessian), sweeps: 200, &q)
    // It has settled: one more pass changes nothing.
    let settled = q.values.copy()
    #expect(rounding.polish(weight, hessian: algebra.narrowed(hessian), sweeps: 1, &q) == 0)
    Numerics.expectIdentical(settled, q.values)
    let residual = Numerics.difference(weight, q.values)
    let gradient = algebra.product(residual, hessian)
    for row in 0..<m {
      for column in 0..<n {
        let scale = Double(q.scales[row, column / 64])
        for code in 0...Int(format.largestCode) {
          let value = scale * (Double(code) - Double(format.zeroPoint))
          let d = value - Double(q.values[row, column])
          let change = d * d * hessian[column, column] - 2 * d * gradient[row, column]
          // The gradient is a sum of 75 products in single precision: off by some 1e-6 of a step's.
          #expect(change >= -1e-5 * scale * scale * hessian[column, column])
        }
      }
    }
  }

  @Test("no sweep changes nothing, and an optimum stays", arguments: [WeightFormat.int4, .e8p])
  func nothingToDo(format: WeightFormat) throws {
    let (m, n) = (17, 40)
    let weight = Numerics.weights(m, n, seed: 35)
    let rounding = FeedbackRounding(algebra, Numerics.grid(format))
    var q = QuantizedMatrix(PackedLayout(format, groupSize: .row, outputSize: m, inputSize: n))
    rounding.roundToNearest(weight, into: &q)
    let before = q.values.copy()
    let hessian = Numerics.hessian(n, seed: 36, algebra)
    #expect(rounding.polish(weight, hessian: algebra.narrowed(hessian), sweeps: 0, &q) == 0)
    Numerics.expectIdentical(before, q.values)
    // In the unit metric nearest values are the best.
    var unit = Matrix<Float>(rowCount: n, columnCount: n)
    for index in 0..<n { unit[index, index] = 1 }
    #expect(rounding.polish(weight, hessian: unit, sweeps: 3, &q) == 0)
    Numerics.expectIdentical(before, q.values)
  }

  @Test("lowers what feedback left", arguments: [WeightFormat.int2, .e8p])
  func afterFeedback(format: WeightFormat) throws {
    let (m, n) = (33, 130)
    let hessian = Numerics.hessian(n, seed: 37, algebra)
    var work = hessian.copy()
    let factor = try FeedbackFactor(&work, algebra)
    let weight = Numerics.weights(m, n, seed: 38)
    let rounding = FeedbackRounding(algebra, Numerics.grid(format))
    var q = QuantizedMatrix(PackedLayout(format, groupSize: .row, outputSize: m, inputSize: n))
    let error = rounding.round(weight, feedback: factor, into: &q)
    let gain = rounding.polish(weight, hessian: algebra.narrowed(hessian), sweeps: 5, &q)
    #expect(gain > 0 && gain < error)
    let left = Numerics.error(weight, q.values, hessian, algebra)
    // Two sums in single precision, as above.
    #expect(abs(error - gain - left) <= 2e-5 * error)
  }
}
