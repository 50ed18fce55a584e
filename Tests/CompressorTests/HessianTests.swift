import DuetCompressor
import DuetRuntime
import DuetSystem
import Testing

@Suite("Hessian")
struct HessianTests {
  private let algebra = LinearAlgebra(WorkerPool(threadCount: 2))

  /// Rows of numbers between -1 and 1, `stride` apart, with the same numbers between them in no row.
  private static func rows(
    _ tokenCount: Int, _ size: Int, stride: Int? = nil, seed: UInt64 = 1
  ) -> Matrix<Float> {
    var generator = RandomGenerator(seed: seed)
    var result = Matrix<Float>(rowCount: tokenCount, columnCount: stride ?? size)
    for index in 0..<result.elements.count {
      result.elements[index] = Float(2 * generator.nextUnit() - 1)
    }
    return result
  }

  /// The mean of x x^T over batches of the given sizes.
  private func hessian(
    _ x: borrowing Matrix<Float>, size: Int, batches: [Int]? = nil, threadCount: Int = 2
  ) throws -> Hessian {
    let algebra = LinearAlgebra(WorkerPool(threadCount: threadCount))
    var sums = HessianAccumulator(size: size, layer: 0, input: "test", algebra)
    let span = x.elements.span
    var first = 0
    for count in batches ?? [x.rowCount] {
      try sums.add(
        span.extracting(first * x.columnCount..<(first + count) * x.columnCount),
        stride: x.columnCount, tokenCount: count)
      first += count
    }
    #expect(sums.tokenCount == first)
    return sums.finish()
  }

  /// X^T X / d and |X|^T |X| / d of the first `size` columns, in Double.
  private func expected(
    _ x: borrowing Matrix<Float>, size: Int
  ) -> (mean: [Double], magnitude: [Double]) {
    var copy = Matrix<Double>(rowCount: x.rowCount, columnCount: size)
    var positive = Matrix<Double>(rowCount: x.rowCount, columnCount: size)
    for row in 0..<x.rowCount {
      for column in 0..<size {
        copy[row, column] = Double(x[row, column])
        positive[row, column] = abs(copy[row, column])
      }
    }
    let scale = 1 / Double(x.rowCount)
    let mean = algebra.product(copy, transposesLeft: true, copy, scale: scale)
    let magnitude = algebra.product(positive, transposesLeft: true, positive, scale: scale)
    return (
      (0..<size * size).map { mean.elements[$0] }, (0..<size * size).map { magnitude.elements[$0] }
    )
  }

  @Test(
    "H = X^T X / d and is symmetric",
    arguments: [(1, 1), (1, 7), (5, 1), (40, 511), (40, 512), (300, 513), (2049, 30), (4100, 1030)])
  func definition(tokenCount: Int, size: Int) throws {
    let x = Self.rows(tokenCount, size, stride: size + 3)
    let hessian = try hessian(x, size: size)
    let (mean, magnitude) = expected(x, size: size)
    #expect(hessian.tokenCount == tokenCount && hessian.size == size)
    // t products rounded to single precision and added to sums that are: t * 2^-24 of the sum of
    // magnitudes (Higham, Accuracy and Stability, 3.1); t is that of a chunk. Double adds nothing.
    let bound = Double(min(tokenCount, HessianAccumulator.chunkLength) + 1) * 0x1p-24
    var worst = 0.0
    var asymmetry = 0
    for i in 0..<size {
      for j in 0..<size {
        let error = abs(hessian.matrix[i, j] - mean[i * size + j])
        worst = max(worst, error / (bound * magnitude[i * size + j]))
        if hessian.matrix[i, j] != hessian.matrix[j, i] { asymmetry += 1 }
      }
    }
    #expect(worst <= 1)
    #expect(asymmetry == 0)
  }

  @Test("batches in any split give the same within rounding")
  func batches() throws {
    let (tokenCount, size) = (2500, 20)
    let x = Self.rows(tokenCount, size)
    let whole = try hessian(x, size: size)
    let (_, magnitude) = expected(x, size: size)
    for batches in [[1, 2499], [2499, 1], [700, 0, 1800], Array(repeating: 50, count: 50)] {
      let split = try hessian(x, size: size, batches: batches)
      // Both are within the bound of `definition` of the truth.
      let bound = 2 * Double(HessianAccumulator.chunkLength + 1) * 0x1p-24
      for index in 0..<size * size {
        let difference = abs(split.matrix.elements[index] - whole.matrix.elements[index])
        #expect(difference <= bound * magnitude[index])
      }
    }
  }

  @Test("sums of small integers are exact in any order")
  func orderOfBatches() throws {
    // Integers below 8: 3000 products below 64 stay below 2^18, exact in single precision.
    var x = Self.rows(3000, 9)
    for index in 0..<x.elements.count { x.elements[index] = (x.elements[index] * 8).rounded() }
    var reversed = x.copy()
    for row in 0..<3000 { for j in 0..<9 { reversed[row, j] = x[2999 - row, j] } }
    let first = try hessian(x, size: 9, batches: [1000, 2000])
    let second = try hessian(reversed, size: 9, batches: [2100, 900])
    for index in 0..<81 { #expect(first.matrix.elements[index] == second.matrix.elements[index]) }
  }

  @Test("every number of threads gives the same bits", arguments: [2, 3, 8])
  func threads(threadCount: Int) throws {
    let x = Self.rows(2300, 1100)
    let one = try hessian(x, size: 1100, threadCount: 1)
    let many = try hessian(x, size: 1100, threadCount: threadCount)
    var differences = 0
    for index in 0..<1100 * 1100
    where one.matrix.elements[index] != many.matrix.elements[index] { differences += 1 }
    #expect(differences == 0)
  }

  @Test("dead inputs have rows of zeros")
  func deadInputs() throws {
    var x = Self.rows(100, 10)
    for row in 0..<100 { x[row, 4] = 0 }
    let hessian = try hessian(x, size: 10)
    for j in 0..<10 { #expect(hessian.matrix[4, j] == 0 && hessian.matrix[j, 4] == 0) }
  }

  @Test(
    "numbers that are not finite, or too large to square, are noticed wherever they are",
    arguments: [Float.nan, .infinity, -.infinity, 1e25],
    [(0, 0), (2047, 599), (2048, 512), (9, 300)])
  func nonFinite(number: Float, place: (row: Int, column: Int)) throws {
    var x = Self.rows(2100, 600)
    x[place.row, place.column] = number
    #expect(throws: CompressionDataError.nonFiniteActivations(layer: 0, input: "test")) {
      _ = try hessian(x, size: 600)
    }
  }
}
