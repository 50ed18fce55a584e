import DuetRuntime
import DuetSystem
import Testing

@Suite("Incoherence transform")
struct IncoherenceTests {
  /// The sizes of models, with and without a dense factor, and the awkward ones.
  static let modelSizes = [
    4096, 8192, 16384, 11008, 13824, 14336, 28672, 5120, 9728, 18944, 1536, 3072, 2560, 6912,
    64, 128, 256, 172, 384, 768,
  ]
  static let smallSizes = [1, 2, 3, 4, 6, 7, 8, 12, 15, 16, 20, 24, 40, 52, 56, 96, 100, 172, 344]

  private let unitRoundoff = 0x1p-24

  @Test(
    "the transform equals the product with its matrix in Double",
    arguments: KernelSet.supported.map(\.name))
  func equalsTheMatrixInDouble(name: String) throws {
    let kernelSet = try #require(KernelSet(named: name))
    for size in Self.smallSizes {
      let incoherence = try IncoherenceTransform(size: size, seed: UInt64(size))
      let factor = incoherence.factor
      // b[i][j], the sign of the Sylvester matrix being that of the bits that i and j share.
      let scale = factor.isHadamard ? Double(size).squareRoot() : Double(factor.width).squareRoot()
      func entry(_ i: Int, _ j: Int) -> Double {
        let outer = factor.entries[i / factor.width * factor.order + j / factor.width]
        let odd = ((i % factor.width) & (j % factor.width)).nonzeroBitCount % 2 == 1
        return Double(odd ? -outer : outer) * Double(incoherence.signs[j]) / scale
      }
      let x = numbers(size, seed: 1)
      let rotated = applied(incoherence, x, kernelSet, WorkerPool(threadCount: 1))
      let back = applied(incoherence, x, back: true, kernelSet, WorkerPool(threadCount: 1))
      let wrong = (0..<size).filter { i in
        var (exact, magnitude, exactBack, magnitudeBack) = (0.0, 0.0, 0.0, 0.0)
        for j in 0..<size {
          exact += entry(i, j) * Double(x[j])
          magnitude += abs(entry(i, j) * Double(x[j]))
          exactBack += entry(j, i) * Double(x[j])
          magnitudeBack += abs(entry(j, i) * Double(x[j]))
        }
        // A rounding per term of the dense factor, per stage, of the scale and by it; 1 for the
        // second order.
        let operations = factor.order + factor.width.trailingZeroBitCount + 3
        let bound = Double(operations) * unitRoundoff
        return !(abs(Double(rotated[i]) - exact) <= bound * magnitude)
          || !(abs(Double(back[i]) - exactBack) <= bound * magnitudeBack)
      }
      #expect(wrong == [], "\(name) \(size)")
    }
  }

  @Test("rotating keeps norms, and rotating back undoes it", arguments: modelSizes + smallSizes)
  func rotatingBackUndoesAndKeepsNorms(size: Int) throws {
    let incoherence = try IncoherenceTransform(size: size, seed: 7)
    let factor = incoherence.factor
    let pool = WorkerPool(threadCount: 2)
    let x = numbers(size, seed: 2)
    let rotated = applied(incoherence, x, .standard, pool)
    let back = applied(incoherence, rotated, back: true, .standard, pool)
    // Error of one transform relative to |x|: u per stage, of the scale and by it. The dense factor: a
    // column of sums is off by order u |F| |t|, and the matrix of magnitudes is at most sqrt(order) times
    // as long as the orthogonal F. Rounding a random F to Float moves it by sqrt(order) u. And one u
    // for the second order.
    let order = Double(factor.order)
    let stages = Double(factor.width.trailingZeroBitCount)
    let bound = unitRoundoff * (stages + 2 + order * order.squareRoot() + order.squareRoot() + 1)
    let norm = length(x)
    #expect(abs(length(rotated) - norm) <= bound * norm)
    #expect(length(zip(back, x).map { $0 - $1 }) <= 2 * bound * norm)
    // Norms alone would also be kept if nothing moved.
    if size > 1 { #expect(rotated != x) }
  }

  /// Outliers are spread: a single one becomes numbers of one magnitude.
  @Test("an outlier is spread evenly", arguments: [4096, 14336, 13824])
  func spreadsAnOutlier(size: Int) throws {
    let incoherence = try IncoherenceTransform(size: size, seed: 3)
    var x = [Float](repeating: 0, count: size)
    x[size / 3] = Float(size).squareRoot()
    let rotated = applied(incoherence, x, .standard, WorkerPool(threadCount: 1))
    // Sums of one number and zeros are exact: only the root, its inverse and their product are rounded.
    #expect(rotated.allSatisfy { abs(abs($0) - 1) <= 0x1p-22 })
  }

  /// The same input rotated by the reference implementation, whose results are integers once multiplied
  /// by sqrt(size): a weighted sum of them each way.
  @Test(
    "the transform equals that of the reference",
    arguments: [
      (1, -5, -5), (8, -1912, -676), (64, -8788, -1120), (12, 2433, -723), (40, 10714, 3168),
      (56, -2384, -2810), (152, -40736, -4892), (216, 64082, -1802), (296, -48963, 11821),
      (4096, -911_146, -19278), (14336, -3_513_443, -190_153), (13824, 3_236_738, -174_878),
      (9728, -2_349_520, -372_328), (18944, -2_312_265, 85393), (5120, 1_980_169, 681_259),
    ])
  func equalsTheReference(size: Int, sum: Int, sumBack: Int) throws {
    let signs = (0..<size).map { Int8($0 * $0 / 3 % 2 == 1 ? -1 : 1) }
    let incoherence = try IncoherenceTransform(size: size, signs: signs)
    let x = (0..<size).map { Float(7 * $0 % 11 - 5) }
    let pool = WorkerPool(threadCount: 1)
    let operations =
      incoherence.factor.order + incoherence.factor.width.trailingZeroBitCount + 3
    let bound = Double(operations) * unitRoundoff * x.reduce(0) { $0 + Double(abs($1)) }
    // Below one half, so that rounding finds the integers.
    #expect(bound < 0.5)
    func weighted(_ result: [Float]) -> Int {
      result.enumerated().reduce(0) { total, item in
        let integer = (Double(item.element) * Double(size).squareRoot()).rounded()
        return total + Int(integer) * (31 * item.offset % 97 + 1)
      }
    }
    #expect(weighted(applied(incoherence, x, .standard, pool)) == sum)
    #expect(weighted(applied(incoherence, x, back: true, .standard, pool)) == sumBack)
  }

  @Test("threads and kernels change no bit", arguments: [172, 768, 4096, 11008, 13824, 18944])
  func threadsAndKernelsChangeNoBit(size: Int) throws {
    let incoherence = try IncoherenceTransform(size: size, seed: 11)
    for tokenCount in [1, 2, 5] {
      let x = numbers(tokenCount * size, seed: 5)
      for back in [false, true] {
        let expected = applied(
          incoherence, x, back: back, .standard, WorkerPool(threadCount: 1)
        ).map(\.bitPattern)
        for threadCount in [2, 3, 8] {
          let pool = WorkerPool(threadCount: threadCount)
          let result = applied(incoherence, x, back: back, .standard, pool).map(\.bitPattern)
          let equal = result == expected
          #expect(equal, "\(tokenCount) tokens, \(threadCount) threads")
        }
        for kernelSet in KernelSet.supported {
          let pool = WorkerPool(threadCount: 2)
          let result = applied(incoherence, x, back: back, kernelSet, pool).map(\.bitPattern)
          let equal = result == expected
          #expect(equal, "\(tokenCount) tokens, \(kernelSet.name)")
        }
        // A token does not depend on the others.
        let last = Array(x.suffix(size))
        let alone = applied(incoherence, last, back: back, .standard, WorkerPool(threadCount: 1))
        let equal = alone.map(\.bitPattern) == Array(expected.suffix(size))
        #expect(equal, "\(tokenCount) tokens")
      }
    }
  }

  @Test("gaps between rows are left as they are", arguments: [16, 40, 172])
  func leavesTheGapsBetweenRows(size: Int) throws {
    let incoherence = try IncoherenceTransform(size: size, seed: 4)
    let pool = WorkerPool(threadCount: 2)
    let stride = size + 5
    var rows = Buffer<Float>(count: 3 * stride)
    for index in 0..<3 * stride { rows[index] = index % stride < size ? Float(index % 7) : 77 }
    let scratch = Buffer<Float>(count: incoherence.scratchCount(threadCount: 2))
    for back in [false, true] {
      let before = (0..<3).map { row in (0..<size).map { rows[row * stride + $0] } }
      if back {
        unsafe incoherence.rotateBack(
          rows.pointer, stride: stride, tokenCount: 3, scratch: scratch.pointer, .standard, pool)
      } else {
        unsafe incoherence.rotate(
          rows.pointer, stride: stride, into: rows.pointer, stride: stride, tokenCount: 3,
          scratch: scratch.pointer, .standard, pool)
      }
      for row in 0..<3 {
        let expected = applied(incoherence, before[row], back: back, .standard, pool)
        #expect((0..<size).map { rows[row * stride + $0] } == expected)
        #expect((size..<stride).allSatisfy { rows[row * stride + $0] == 77 })
      }
    }
  }

  @Test("signs are drawn from the seed")
  func drawsSignsFromTheSeed() throws {
    let factor = try OrthogonalFactor(size: 4096)
    let signs = IncoherenceTransform(factor, seed: 1).signs
    let (again, others) = (
      IncoherenceTransform(factor, seed: 1).signs, IncoherenceTransform(factor, seed: 2).signs
    )
    let (repeats, differs) = (signs == again, signs != others)
    #expect(repeats && differs)
    #expect(signs.allSatisfy { abs($0) == 1 })
    // 4096 fair draws: their sum is within five standard deviations of 64.
    #expect(abs(signs.reduce(0) { $0 + Int($1) }) <= 5 * 64)
  }

  @Test("signs other than 1 and -1, or too few, are refused")
  func refusesWhatIsNoSign() {
    #expect(throws: IncoherenceError.wrongSignCount(size: 4, count: 3)) {
      try IncoherenceTransform(size: 4, signs: [1, 1, -1])
    }
    for value: Int8 in [0, 2, -128] {
      #expect(throws: IncoherenceError.notASign(index: 2, value: value)) {
        try IncoherenceTransform(size: 4, signs: [1, -1, value, 1])
      }
    }
  }

  private func applied(
    _ incoherence: IncoherenceTransform, _ x: [Float], back: Bool = false, _ kernelSet: KernelSet,
    _ pool: WorkerPool
  ) -> [Float] {
    var rows = Buffer<Float>(count: x.count)
    for (index, value) in x.enumerated() { rows[index] = value }
    var scratch = Buffer<Float>(
      count: incoherence.scratchCount(threadCount: pool.threadCount))
    let tokenCount = x.count / incoherence.size
    if back {
      incoherence.rotateBack(
        &rows, tokenCount: tokenCount, scratch: &scratch, kernelSet, pool)
    } else {
      incoherence.rotate(&rows, tokenCount: tokenCount, scratch: &scratch, kernelSet, pool)
    }
    return x.indices.map { rows[$0] }
  }

  private func numbers(_ count: Int, seed: UInt64) -> [Float] {
    var generator = RandomGenerator(seed: seed)
    return (0..<count).map { _ in Float(generator.nextUnit() * 2 - 1) }
  }

  private func length(_ x: [Float]) -> Double {
    x.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
  }
}
