import DuetCompressor
import DuetRuntime
import DuetSystem
import Testing

@Suite("Metric")
struct MetricTests {
  private let algebra = LinearAlgebra(WorkerPool(threadCount: 2))

  private func rotation(_ sizes: [Int]) throws -> MatrixRotation {
    try MatrixRotation(sizes: sizes, seed: 5, KernelSet.standard, algebra)
  }

  private func diagonal(_ values: [Double]) -> Matrix<Double> {
    var result = Matrix<Double>(rowCount: values.count, columnCount: values.count)
    for (index, value) in values.enumerated() { result[index, index] = value }
    return result
  }

  // MARK: - What it is

  @Test("is the Hessian over its mean diagonal, damped")
  func definition() throws {
    let n = 40
    let hessian = Numerics.hessian(n, seed: 51, algebra)
    let metric = try Numerics.metric(hessian, damping: 0.03, algebra)
    let mean = (0..<n).reduce(0) { $0 + hessian[$1, $1] } / Double(n)
    #expect(metric.damping == 0.03)
    #expect(metric.size == n && metric.columnCount == 0 && metric.columns == nil)
    #expect(metric.deadInputs.isEmpty)
    for row in 0..<n {
      for column in 0..<n {
        let expected = hessian[row, column] / mean + (row == column ? 0.03 : 0)
        // Rounded to single precision, and once more with the damping.
        #expect(abs(Double(metric.hessian[row, column]) - expected) <= 0x1p-23 * abs(expected))
      }
    }
  }

  @Test("channels are ranked by falling second moment, and dead inputs are found")
  func ranking() throws {
    let metric = try Numerics.metric(diagonal([2, 0, 5, 2, 7, 0]), algebra)
    #expect(metric.ranking == [4, 2, 0, 3, 1, 5])
    #expect(metric.deadInputs == [1, 5])
    var weight = Numerics.weights(3, 6, seed: 52)
    let original = weight.copy()
    let problem = try WeightProblem(
      &weight, name: "layer", metric: metric, outputRotation: nil, algebra)
    for row in 0..<3 {
      for column in 0..<6 {
        let expected = [1, 5].contains(column) ? 0 : original[row, column]
        #expect(problem.weight[row, column] == expected)
      }
    }
  }

  @Test("the feedback factors multiply to the damped Hessian", arguments: [1, 2, 17, 130, 300])
  func factors(n: Int) throws {
    let hessian = Numerics.hessian(n, seed: 53, algebra)
    let metric = try Numerics.metric(hessian, rotation: nil, algebra)
    #expect(metric.feedback.size == n)
    var scaled = Matrix<Double>(rowCount: n, columnCount: n)
    var upper = Matrix<Double>(rowCount: n, columnCount: n)
    for row in 0..<n {
      for column in row..<n {
        upper[row, column] = row == column ? 1 : Double(metric.feedback.upper[row, column])
        scaled[row, column] = upper[row, column] * Double(metric.feedback.weights[column])
      }
    }
    let product = algebra.product(scaled, upper, transposesRight: true)
    for row in 0..<n {
      for column in 0..<n {
        // U, D and H are rounded to single precision; sums of |U| D |U| are the diagonal of H at most.
        let size = (product[row, row] * product[column, column]).squareRoot()
        #expect(
          abs(product[row, column] - Double(metric.hessian[row, column])) < 4 * 0x1p-24 * size)
      }
    }
  }

  @Test(
    "factors by blocks multiply to the same, and the transform is the inverse", arguments: [8, 37])
  func blocks(n: Int) throws {
    let metric = try Numerics.metric(Numerics.hessian(n, seed: 54, algebra), algebra)
    let blocks = metric.feedback.blocks(of: 8)
    for start in stride(from: 0, to: n, by: 8) {
      let size = min(8, n - start)
      func u(_ i: Int, _ j: Int) -> Double {
        i == j ? 1 : i < j ? Double(metric.feedback.upper[start + i, start + j]) : 0
      }
      for i in 0..<8 {
        for j in 0..<8 {
          let place = start / 8 * 64 + 8 * i + j
          if i >= size || j >= size {
            #expect(blocks.metric[place] == 0 && blocks.transform[place] == 0)
            continue
          }
          var (metric8, unit) = (0.0, 0.0)
          for k in 0..<size {
            metric8 += u(i, k) * u(j, k) * Double(metric.feedback.weights[start + k])
            unit += u(i, k) * Double(blocks.transform[start / 8 * 64 + 8 * j + k])
          }
          // Rounded to single precision; an inverse of numbers below 1 stays below 2^7.
          #expect(
            abs(Double(blocks.metric[place]) - metric8) <= 1e-6 * metric8.magnitude.squareRoot())
          #expect(abs(unit - (i == j ? 1 : 0)) < 1e-5)
          if i == j { #expect(blocks.weights[start + i] == blocks.metric[place]) }
        }
      }
    }
  }

  @Test("tr(A H A^T) by the factors is that by H", arguments: [1, 15, 64, 172], [1, 16, 33, 300])
  func square(n: Int, m: Int) throws {
    let metric = try Numerics.metric(Numerics.hessian(n, seed: 57, algebra), algebra)
    let weight = Numerics.weights(m, n, seed: 58)
    let expected = Numerics.square(
      algebra.widened(weight), algebra.widened(metric.hessian), algebra)
    // A number of A U is a sum of up to 172 products of numbers of size 1: relative to the root of the
    // diagonal 172 * 2^-24 at most, so 2e-5 of the square. H itself is rounded by 2^-24.
    #expect(abs(metric.square(weight, algebra) - expected) < 3e-5 * expected, "\(m) x \(n)")
  }

  @Test("tr(E H E^T) does not change under rotation, of any size", arguments: [32, 48, 172])
  func rotationInvariance(n: Int) throws {
    let m = 24
    let hessian = Numerics.hessian(n, seed: 55, algebra)
    let rotation = try rotation([m, n])
    let plain = try Numerics.metric(hessian, algebra)
    let rotated = try Numerics.metric(hessian, rotation: rotation, algebra)
    let weight = Numerics.weights(m, n, seed: 56)
    let plainProblem = try Numerics.problem(weight, plain, algebra)
    let problem = try Numerics.problem(weight, rotated, algebra, outputRotation: rotation)
    let first = Numerics.square(
      algebra.widened(plainProblem.weight), algebra.widened(plain.hessian), algebra)
    let second = Numerics.square(
      algebra.widened(problem.weight), algebra.widened(rotated.hessian), algebra)
    // Rotations in single precision: log2(n) roundings on each side of H and W, 2^-24 each.
    #expect(abs(first - second) < 1e-6 * first)
    #expect(abs(problem.dampedSquare - first) < 1e-6 * first)
    #expect(abs(problem.measuredSquare - plainProblem.measuredSquare) < 1e-6 * first)
    // It did rotate: a diagonal that is not flat has become another one.
    #expect(abs(plain.hessian[0, 0] - rotated.hessian[0, 0]) > 1e-3)
    #expect(rotated.ranking == plain.ranking)
  }

  @Test("a power of two on the Hessian changes no bit", arguments: [-100, 100])
  func scaling(exponent: Int) throws {
    let hessian = Numerics.hessian(20, seed: 57, algebra)
    var scaled = hessian.copy()
    let factor = Double(sign: .plus, exponent: exponent, significand: 1)
    for index in 0..<400 { scaled.elements[index] *= factor }
    let metric = try Numerics.metric(hessian, algebra)
    let other = try Numerics.metric(scaled, algebra)
    Numerics.expectIdentical(metric.hessian, other.hessian)
    #expect(metric.feedback.weights == other.feedback.weights)
  }

  // MARK: - Hessians that are none

  @Test("numbers that cannot be second moments are refused")
  func badHessian() throws {
    for value in [Double.nan, .infinity, -.infinity, -1] {
      #expect {
        _ = try Numerics.metric(diagonal([1, value, 2]), algebra)
      } throws: { error in
        guard case .badHessian(let tensor, _)? = error as? CompressionDataError else {
          return false
        }
        return tensor == "layer"
      }
    }
    #expect(
      throws: CompressionDataError.badHessian(
        tensor: "layer", reason: "is zero: no activations reach this layer")
    ) {
      _ = try Numerics.metric(diagonal([0, 0, 0]), algebra)
    }
    // Beside the diagonal no measured moment is infinite when none is on it.
    var hessian = diagonal([Double](repeating: 1, count: 200))
    (hessian[3, 180], hessian[180, 3]) = (.nan, .nan)
    #expect(throws: CompressionDataError.self) { _ = try Numerics.metric(hessian, algebra) }
  }

  @Test("the damping doubles until the Hessian is positive definite")
  func ladder() throws {
    // Eigenvalues 1 + 5 and 1 - 5.
    var hessian = diagonal([1, 1])
    (hessian[0, 1], hessian[1, 0]) = (5, 5)
    let metric = try Numerics.metric(hessian, algebra)
    // 0.01 * 2^9 is the first above 4.
    #expect(metric.damping == 0.01 * 512)
    #expect(metric.hessian[0, 0] == Float(1 + 5.12))
    #expect(metric.feedback.weights.allSatisfy { $0 > 0 })
    (hessian[0, 1], hessian[1, 0]) = (100, 100)
    #expect(
      throws: CompressionDataError.notPositiveDefinite(tensor: "layer", damping: 0.01 * 1024)
    ) { _ = try Numerics.metric(hessian, algebra) }
    // A ladder from nothing begins at a millionth.
    (hessian[0, 1], hessian[1, 0]) = (1.00001, 1.00001)
    let small = try Numerics.metric(hessian, damping: 0, algebra)
    #expect(small.damping == 1.6e-5)
  }

  /// Hessians that rounding errors, few tokens or extreme activations give.
  private static let unusual = [
    "slightly negative", "condition 1e20", "rank 1", "zero rows", "tiny", "huge",
  ]

  @Test("unusual Hessians give a finite metric", arguments: unusual, [false, true])
  func unusualHessian(kind: String, isRotated: Bool) throws {
    let n = 32
    var hessian = Numerics.hessian(n, seed: 58, algebra)
    switch kind {
    case "slightly negative":
      // Diagonal but for a pair whose determinant is negative.
      hessian = diagonal([Double](repeating: 1, count: n))
      (hessian[4, 9], hessian[9, 4]) = (1 + 1e-6, 1 + 1e-6)
    case "condition 1e20":
      for row in 0..<n {
        for column in 0..<n {
          hessian[row, column] *= (row == 3 ? 1e10 : 1) * (column == 3 ? 1e10 : 1)
        }
      }
    case "rank 1":
      let x = Numerics.gaussian(1, n, seed: 59)
      for row in 0..<n { for column in 0..<n { hessian[row, column] = x[0, row] * x[0, column] } }
    case "zero rows":
      for row in [0, 7, 31] {
        for column in 0..<n { (hessian[row, column], hessian[column, row]) = (0, 0) }
      }
    case "tiny": for index in 0..<n * n { hessian.elements[index] *= 1e-30 }
    default: for index in 0..<n * n { hessian.elements[index] *= 1e30 }
    }
    let rotation = isRotated ? try rotation([n]) : nil
    for columnCount in [0, 3] {
      let metric = try Numerics.metric(
        hessian, columnCount: columnCount, rotation: rotation, algebra)
      #expect(metric.feedback.weights.allSatisfy { $0 > 0 && $0.isFinite })
      #expect((0..<n * n).allSatisfy { metric.hessian.elements[$0].isFinite })
      #expect(metric.damping > 0 && metric.damping < 0.1)
      #expect(metric.deadInputs == (kind == "zero rows" ? [0, 7, 31] : []))
      let problem = try Numerics.problem(Numerics.weights(8, n, seed: 60), metric, algebra)
      var q = QuantizedMatrix(PackedLayout(.int2, groupSize: .row, outputSize: 8, inputSize: n))
      let error = FeedbackRounding(algebra, IntegerGrid(.int2)).round(
        problem.weight, feedback: metric.feedback, into: &q)
      #expect(error.isFinite && error > 0 && problem.dampedSquare > 0)
    }
  }

  @Test("weights that are not finite are refused", arguments: [Float.nan, .infinity])
  func nonFiniteWeight(value: Float) throws {
    let metric = try Numerics.metric(diagonal([1, 2]), algebra)
    var weight = Matrix<Float>(rowCount: 2, columnCount: 2)
    weight[1, 1] = value
    #expect(throws: CompressionDataError.nonFiniteWeight(tensor: "layer")) {
      _ = try Numerics.problem(weight, metric, algebra)
    }
  }
}
