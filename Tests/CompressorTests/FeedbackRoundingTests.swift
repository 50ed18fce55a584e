import DuetCompressor
import DuetRuntime
import DuetSystem
import Testing

/// What the feedback to the columns of a step is by definition, in double precision.
///
/// Unlike the code it eliminates blocks of H from the last one: with S the Schur complement of the
/// blocks after B, the target of B is w_B + (W - Q)_A S_AB S_BB^-1 with A all blocks before it. For
/// single columns that is equation (4) of LDLQ, for eight that of QuIP#.
private func targets(
  _ w: borrowing Matrix<Float>, _ q: borrowing Matrix<Float>, _ hessian: borrowing Matrix<Double>,
  step: Int, _ algebra: LinearAlgebra
) throws -> Matrix<Double> {
  let (m, n) = (w.rowCount, w.columnCount)
  let errors = Numerics.difference(w, q)
  var schur = hessian.copy()
  var result = Matrix<Double>(rowCount: m, columnCount: n)
  for start in stride(from: 0, to: n, by: step).reversed() {
    let size = min(step, n - start)
    // X = S_BB^-1 S_BA, of which X^T feeds back and S_AA - S_AB X is what is left.
    var block = Matrix<Double>(rowCount: size, columnCount: size)
    var across = Matrix<Double>(rowCount: size, columnCount: start)
    for i in 0..<size {
      for j in 0..<size { block[i, j] = schur[start + i, start + j] }
      for j in 0..<start { across[i, j] = schur[start + i, j] }
    }
    var solution = across.copy()
    if start > 0 { try algebra.solve(&block, &solution) }
    for row in 0..<m {
      for i in 0..<size {
        var sum = Double(w[row, start + i])
        for j in 0..<start { sum += errors[row, j] * solution[i, j] }
        result[row, start + i] = sum
      }
    }
    for i in 0..<start {
      for j in 0..<start {
        for l in 0..<size { schur[i, j] -= across[l, i] * solution[l, j] }
      }
    }
  }
  return result
}

@Suite("FeedbackRounding")
struct FeedbackRoundingTests {
  private let algebra = LinearAlgebra(WorkerPool(threadCount: 2))

  private func factor(_ hessian: borrowing Matrix<Double>) throws -> FeedbackFactor {
    var copy = hessian.copy()
    return try FeedbackFactor(&copy, algebra)
  }

  private func rounding(
    _ format: WeightFormat, timing: FeedbackRounding.ScaleTiming = .atStart
  ) -> FeedbackRounding {
    FeedbackRounding(algebra, Numerics.grid(format), timing: timing)
  }

  private func result(
    _ format: WeightFormat, _ groupSize: GroupSize, _ m: Int, _ n: Int
  ) -> QuantizedMatrix {
    QuantizedMatrix(PackedLayout(format, groupSize: groupSize, outputSize: m, inputSize: n))
  }

  /// The least squared distance of `x` to a value of an integer format.
  private func nearest(_ x: Double, scale: Float, _ format: WeightFormat) -> Double {
    (0...Int(format.largestCode)).map {
      let distance = x - Double(scale) * (Double($0) - Double(format.zeroPoint))
      return distance * distance
    }.min() ?? 0
  }

  /// Checks that every value of an integer format is the nearest to its target.
  ///
  /// Where two values are nearly as far, either will do: targets are computed in single precision, a
  /// number below 8 times the scale off by less than 1e-5 of it.
  private func expectNearest(
    _ q: borrowing QuantizedMatrix, _ targets: borrowing Matrix<Double>
  ) {
    let width = q.layout.groupSize.columnCount ?? q.layout.inputSize
    for row in 0..<targets.rowCount {
      for column in 0..<targets.columnCount {
        let scale = q.scales[row, column / width]
        let target = targets[row, column]
        let own = abs(target - Double(q.values[row, column]))
        let least = nearest(target, scale: scale, q.layout.format).squareRoot()
        #expect(own <= least + 1e-4 * Double(scale), "(\(row), \(column)): \(own) and \(least)")
      }
    }
  }

  // MARK: - The error

  private static let shapes = [
    (1, 1), (1, 300), (15, 7), (15, 130), (17, 129), (130, 15), (130, 64), (300, 130), (17, 300),
  ]

  @Test(
    "the error returned is tr((W - Q) H (W - Q)^T)",
    arguments: [WeightFormat.int2, .int3, .int4, .int8, .e8p], shapes)
  func error(format: WeightFormat, shape: (Int, Int)) throws {
    let (m, n) = shape
    let hessian = Numerics.hessian(n, seed: 11, algebra)
    let factor = try factor(hessian)
    let weight = Numerics.weights(m, n, seed: 12, deviation: 0.02)
    for groupSize in [GroupSize.row, .columns32, .columns128] {
      for timing in [FeedbackRounding.ScaleTiming.atStart, .onEntry] {
        var q = result(format, groupSize, m, n)
        let error = rounding(format, timing: timing).round(weight, feedback: factor, into: &q)
        let expected = Numerics.error(weight, q.values, hessian, algebra)
        // A target is a sum of up to n products rounded to single precision, off by about the root
        // of n times 2^-24 of their size, which is n * 3e-8 of the rounding error at four values and
        // sixty times that at 256. The deviations have either sign; squares double them.
        let tolerance = 2 * Double(n + 8) * 3e-8 * (format == .int8 ? 64 : 1)
        #expect(abs(error - expected) <= tolerance * expected, "\(error) and \(expected)")
      }
    }
  }

  // MARK: - The recursion

  @Test(
    "two and three columns equal the recursion, in groups and rows", arguments: 0..<50,
    [WeightFormat.int2, .int3, .int4])
  func fewColumns(seed: Int, format: WeightFormat) throws {
    let n = 2 + seed % 2
    let hessian = Numerics.hessian(n, seed: UInt64(100 + seed), algebra)
    let weight = Numerics.weights(5, n, seed: UInt64(200 + seed))
    var q = result(format, seed % 4 < 2 ? .row : .columns32, 5, n)
    rounding(format).round(weight, feedback: try factor(hessian), into: &q)
    expectNearest(q, try targets(weight, q.values, hessian, step: 1, algebra))
  }

  @Test(
    "many columns equal the recursion, across blocks and parts of them",
    arguments: [WeightFormat.int2, .int4], [17, 40, 150])
  func manyColumns(format: WeightFormat, n: Int) throws {
    let hessian = Numerics.hessian(n, seed: 13, algebra)
    let weight = Numerics.weights(7, n, seed: 14)
    for timing in [FeedbackRounding.ScaleTiming.atStart, .onEntry] {
      var q = result(format, .columns32, 7, n)
      rounding(format, timing: timing).round(weight, feedback: try factor(hessian), into: &q)
      expectNearest(q, try targets(weight, q.values, hessian, step: 1, algebra))
    }
  }

  @Test("blocks of a lattice are the nearest points to their targets", arguments: [8, 24, 37, 144])
  func latticeTargets(n: Int) throws {
    let m = 5
    let hessian = Numerics.hessian(n, seed: 15, algebra)
    let weight = Numerics.weights(m, n, seed: 16)
    var q = result(.e8p, .row, m, n)
    rounding(.e8p).round(weight, feedback: try factor(hessian), into: &q)
    let targets = try targets(weight, q.values, hessian, step: 8, algebra)
    let points = (0...UInt16.max).map {
      SIMD8<Float>(LatticeCodebook.e8p.point(of: $0)) * WeightFormat.e8p.unit
    }
    for row in 0..<m {
      let scale = q.scales[row, 0]
      // The points are searched for the first and the last whole block: the last is the deepest.
      for start in Set([0, n / 8 * 8 - 8]) {
        var target = SIMD8<Float>()
        var own = SIMD8<Float>()
        for i in 0..<8 {
          target[i] = Float(targets[row, start + i])
          own[i] = q.values[row, start + i]
        }
        var least = Float.infinity
        for point in points {
          let distance = point * scale - target
          least = min(least, (distance * distance).sum())
        }
        let distance = own - target
        // As near but for the rounding of eight squares and of the target.
        #expect((distance * distance).sum() <= least * (1 + 1e-4))
      }
    }
  }

  @Test("GPTQ, with the inverse of H, gives the same values")
  func inverseForm() throws {
    let (m, n) = (9, 24)
    let hessian = Numerics.hessian(n, seed: 17, algebra)
    let weight = Numerics.weights(m, n, seed: 18)
    var q = result(.int3, .columns32, m, n)
    rounding(.int3).round(weight, feedback: try factor(hessian), into: &q)
    // H^-1, and its upper factor T with T^T T = H^-1 by the textbook's recursion.
    var inverse = Matrix<Double>(rowCount: n, columnCount: n)
    for index in 0..<n { inverse[index, index] = 1 }
    var work = hessian.copy()
    try algebra.solve(&work, &inverse)
    var upper = Matrix<Double>(rowCount: n, columnCount: n)
    for row in 0..<n {
      for column in row..<n {
        var sum = inverse[row, column]
        for k in 0..<row { sum -= upper[k, row] * upper[k, column] }
        upper[row, column] = row == column ? sum.squareRoot() : sum / upper[row, row]
      }
    }
    // Frantar et al., algorithm 1: the columns that are left are moved after each rounding.
    var remaining = algebra.widened(weight)
    var reached = Matrix<Double>(rowCount: m, columnCount: n)
    for column in 0..<n {
      for row in 0..<m {
        reached[row, column] = remaining[row, column]
        let error = (remaining[row, column] - Double(q.values[row, column])) / upper[column, column]
        for later in column..<n { remaining[row, later] -= error * upper[column, later] }
      }
    }
    expectNearest(q, reached)
  }

  // MARK: - Against rounding to nearest

  @Test(
    "a multiple of the unit matrix gives what rounding to nearest gives",
    arguments: [WeightFormat.int2, .int3, .int4, .int8, .e8p])
  func unitMetric(format: WeightFormat) throws {
    for (m, n) in [(1, 5), (17, 130), (33, 264)] {
      var hessian = Matrix<Double>(rowCount: n, columnCount: n)
      for index in 0..<n { hessian[index, index] = 4 }
      let weight = Numerics.weights(m, n, seed: 19)
      for groupSize in [GroupSize.row, .columns64] {
        var fed = result(format, groupSize, m, n)
        var nearest = result(format, groupSize, m, n)
        rounding(format).round(weight, feedback: try factor(hessian), into: &fed)
        rounding(format).roundToNearest(weight, into: &nearest)
        Numerics.expectIdentical(fed.values, nearest.values)
        Numerics.expectIdentical(fed.scales, nearest.scales)
      }
    }
  }

  @Test("in a diagonal metric every value is the nearest", arguments: [WeightFormat.int2, .int4])
  func diagonalMetric(format: WeightFormat) throws {
    let (m, n) = (17, 130)
    var hessian = Matrix<Double>(rowCount: n, columnCount: n)
    var generator = RandomGenerator(seed: 20)
    for index in 0..<n { hessian[index, index] = 1 / (generator.nextUnit() + 1e-4) }
    let weight = Numerics.weights(m, n, seed: 21)
    var q = result(format, .columns64, m, n)
    rounding(format).round(weight, feedback: try factor(hessian), into: &q)
    expectNearest(q, algebra.widened(weight))
  }

  @Test(
    "is better than rounding to nearest in the mean", arguments: [WeightFormat.int2, .int4, .e8p])
  func meanGain(format: WeightFormat) throws {
    let (m, n) = (16, 32)
    var (fedBack, nearest, predicted, losses) = (0.0, 0.0, 0.0, 0)
    for seed in 0..<100 {
      let hessian = Numerics.hessian(n, seed: UInt64(300 + seed), algebra)
      let weight = Numerics.weights(m, n, seed: UInt64(400 + seed))
      var q = result(format, .row, m, n)
      rounding(format).roundToNearest(weight, into: &q)
      let error = Numerics.error(weight, q.values, hessian, algebra)
      let factor = try factor(hessian)
      rounding(format).round(weight, feedback: factor, into: &q)
      let own = Numerics.error(weight, q.values, hessian, algebra)
      let shares = factor.blocks(of: Numerics.grid(format).step).weights
      let trace = (0..<n).reduce(0.0) { $0 + hessian[$1, $1] }
      predicted += error * shares.reduce(0.0) { $0 + Double($1) } / trace
      fedBack += own
      nearest += error
      if own > error { losses += 1 }
    }
    // Rounding errors of all columns are alike in both, so that the errors are as the sum of D, or of
    // the diagonals of its blocks, to the trace of H. What is fed back makes some targets larger than
    // the weights that scales were fitted to, which costs up to a tenth more at two bits.
    #expect(fedBack < 1.12 * predicted, "\(fedBack / predicted)")
    #expect(predicted < 0.65 * nearest && fedBack < 0.7 * nearest, "\(fedBack / nearest)")
    #expect(losses == 0)
  }

  @Test("rows of zeros get zeros and the scale 0", arguments: [WeightFormat.int2, .int4, .e8p])
  func zeros(format: WeightFormat) throws {
    let (m, n) = (18, 40)
    var weight = Numerics.weights(m, n, seed: 22)
    for row in [0, 9, 17] { for column in 0..<n { weight[row, column] = 0 } }
    var q = result(format, .columns32, m, n)
    let factor = try factor(Numerics.hessian(n, seed: 23, algebra))
    let error = rounding(format).round(weight, feedback: factor, into: &q)
    #expect(error.isFinite)
    for row in 0..<m {
      let isZero = [0, 9, 17].contains(row)
      #expect((0..<n).allSatisfy { (q.values[row, $0] == 0) == isZero })
      #expect((0..<2).allSatisfy { (q.scales[row, $0] == 0) == isZero })
    }
  }

  /// The best steps of uniform quantizers of 4, 8 and 16 values for Gaussian numbers, and their mean squared
  /// errors: Max, Quantizing for minimum distortion, 1960, table II.
  @Test(
    "the scales of long Gaussian rows are the best ones",
    arguments: [(.int2, 0.9957, 0.1188), (.int3, 0.5860, 0.03744), (.int4, 0.3352, 0.01154)]
      as [(WeightFormat, Double, Double)])
  func gaussianScales(format: WeightFormat, step: Double, error: Double) {
    let (m, n) = (16, 2048)
    let weight = Numerics.weights(m, n, seed: 71)
    var quantized = result(format, .row, m, n)
    FeedbackRounding(algebra, IntegerGrid(format)).roundToNearest(weight, into: &quantized)
    let residual = Numerics.difference(weight, quantized.values)
    let count = Double(m * n)
    let square = (0..<m * n).reduce(0) { $0 + residual.elements[$1] * residual.elements[$1] }
    let mean = (0..<m).reduce(0) { $0 + Double(quantized.scale(row: $1, group: 0)) } / Double(m)
    // The candidates are 2.5 % of the scale apart that clips nothing, for 4 values less than 5 % of the best
    // one; the nearest is off by half of that at most. 32768 numbers have a mean square within 1 % or so.
    #expect(abs(mean - step) < 0.05 * step, "\(mean)")
    #expect(abs(square / count - error) < 0.04 * error, "\(square / count)")
  }
}
