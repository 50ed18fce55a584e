import DuetRuntime
import DuetSystem
import Testing

/// Products of decomposed matrices over the worker pool.
@Suite("Products of decomposed matrices")
struct PackedExecutionTests {
  /// A matrix of random bytes, all of which are codes, and scales of either sign around 2^-5.
  static func matrix(
    _ format: WeightFormat, _ groupSize: GroupSize, _ outputSize: Int, _ inputSize: Int,
    _ generator: inout RandomGenerator
  ) throws -> PackedMatrix {
    let layout = PackedLayout(
      format, groupSize: groupSize, outputSize: outputSize, inputSize: inputSize)
    let codes = (0..<layout.codeByteCount).map { _ in
      UInt8(truncatingIfNeeded: generator.next())
    }
    let scales = (0..<layout.scaleCount).map { _ in
      Float16(generator.nextUnit() - 0.5) / 16
    }
    return try PackedMatrix(layout: layout, codes: codes.span, scales: scales.span)
  }

  static func part(
    _ format: WeightFormat, _ groupSize: GroupSize, _ outputSize: Int, _ inputSize: Int,
    rank: Int = 0, _ generator: inout RandomGenerator
  ) throws -> PackedLinear.Part {
    let q = try matrix(format, groupSize, outputSize, inputSize, &generator)
    guard rank > 0 else { return PackedLinear.Part(quantized: q) }
    return PackedLinear.Part(
      quantized: q,
      lowRank: LowRankFactors(
        left: try matrix(.int4, .columns32, outputSize, rank, &generator),
        right: try matrix(.int4, .columns128, rank, inputSize, &generator)))
  }

  /// Four parts of different sizes, formats and ranks, one without factors, one without Q.
  static func mixed(_ inputSize: Int) throws -> PackedLinear {
    var generator = RandomGenerator(seed: 7)
    return PackedLinear([
      try part(.int2, .columns128, 100, inputSize, rank: 20, &generator),
      try part(.e8p, .row, 33, inputSize, &generator),
      try part(.int3, .columns64, 64, inputSize, rank: 130, &generator),
      PackedLinear.Part(
        quantized: nil,
        lowRank: LowRankFactors(
          left: try matrix(.int2, .columns32, 45, 50, &generator),
          right: try matrix(.int8, .columns128, 50, inputSize, &generator))),
    ])
  }

  static func input(_ tokenCount: Int, _ size: Int) -> Buffer<Float> {
    var generator = RandomGenerator(seed: 8)
    var x = Buffer<Float>(count: tokenCount * size)
    for index in 0..<x.count { x[index] = Float(generator.nextUnit() * 4 - 2) }
    return x
  }

  /// The product as the runtime computes it.
  static func product(
    _ linear: PackedLinear, _ x: borrowing Buffer<Float>, tokenCount: Int,
    kernelSet: KernelSet = .standard, threadCount: Int = 2
  ) -> [Float] {
    let context = ExecutionContext(kernelSet: kernelSet, threadCount: threadCount)
    var activations = QuantizedActivations(
      tokenCapacity: tokenCount, segments: [linear.inputSize], for: Set(WeightFormat.allCases))
    var scratch = LowRankScratch(linear, tokenCapacity: tokenCount)
    var y = Buffer<Float>(count: tokenCount * linear.outputSize)
    context.quantize(x, tokenCount: tokenCount, into: &activations)
    context.multiply(linear, activations, scratch: &scratch, into: &y)
    return (0..<y.count).map { y[$0] }
  }

  @Test("a product is that of Q + L R within the error of int8")
  func isQPlusLRWithinTheErrorOfInt8() throws {
    let size = 300
    let tokenCount = 3
    let linear = try Self.mixed(size)
    let x = Self.input(tokenCount, size)
    let y = Self.product(linear, x, tokenCount: tokenCount)
    for token in 0..<tokenCount {
      // A number is off by half a step of its group at most: the largest magnitude, here below 2, over
      // 254. Rounding to Float is a thousandth of that.
      let step = 2.0 / 254 * 1.001
      var row = 0
      for part in linear.parts {
        let q =
          part.quantized?.dense().map(Double.init)
          ?? [Double](repeating: 0, count: part.outputSize * size)
        let left = part.lowRank?.left.dense().map(Double.init) ?? []
        let right = part.lowRank?.right.dense().map(Double.init) ?? []
        let rank = part.lowRank?.rank ?? 0
        var t = [Double](repeating: 0, count: rank)
        var tError = [Double](repeating: 0, count: rank)
        for index in 0..<rank {
          for column in 0..<size {
            t[index] += right[index * size + column] * Double(x[token * size + column])
            tError[index] += abs(right[index * size + column]) * step
          }
        }
        // R z is quantised in groups of 128 with its own step, and the error it came with.
        for start in stride(from: 0, to: rank, by: 128) {
          let group = start..<min(start + 128, rank)
          let largest = group.map { abs(t[$0]) + tError[$0] }.max() ?? 0
          for index in group { tError[index] += largest / 254 * 1.001 }
        }
        for r in 0..<part.outputSize {
          var exact = 0.0
          var bound = 1e-5
          for column in 0..<size {
            exact += q[r * size + column] * Double(x[token * size + column])
            bound += abs(q[r * size + column]) * step
          }
          for index in 0..<rank {
            exact += left[r * rank + index] * t[index]
            bound += abs(left[r * rank + index]) * tError[index]
          }
          let result = Double(y[token * linear.outputSize + row + r])
          #expect(abs(result - exact) <= bound, "token \(token) row \(row + r)")
        }
        row += part.outputSize
      }
    }
    // The bound is worth something: without L R the rows of the first part are beyond it.
    let onlyQ = PackedLinear(
      linear.parts.map {
        PackedLinear.Part(quantized: $0.quantized, lowRank: $0.quantized == nil ? $0.lowRank : nil)
      })
    let withoutFactors = Self.product(onlyQ, x, tokenCount: tokenCount)
    #expect(zip(y, withoutFactors).contains { abs($0 - $1) > 1 })
    #expect(Array(y[100..<133]) == Array(withoutFactors[100..<133]))
    #expect(Array(y[197..<242]) == Array(withoutFactors[197..<242]))
  }

  @Test("threads, kernel sets and other tokens change no bit", arguments: [1, 3, 100, 200])
  func neitherThreadsNorSetsNorCompanyChangeABit(tokenCount: Int) throws {
    let size = 160
    let linear = try Self.mixed(size)
    let x = Self.input(tokenCount, size)
    let expected = Self.product(linear, x, tokenCount: tokenCount, threadCount: 1)
    for threadCount in [2, 3, 8] {
      let y = Self.product(linear, x, tokenCount: tokenCount, threadCount: threadCount)
      #expect(y == expected, "\(threadCount) threads")
    }
    for kernelSet in KernelSet.supported {
      let y = Self.product(linear, x, tokenCount: tokenCount, kernelSet: kernelSet)
      #expect(y == expected, "\(kernelSet.name)")
    }
    for token in [0, tokenCount / 2, tokenCount - 1] {
      var alone = Buffer<Float>(count: size)
      for index in 0..<size { alone[index] = x[token * size + index] }
      let y = Self.product(linear, alone, tokenCount: 1)
      let row = expected[token * linear.outputSize..<(token + 1) * linear.outputSize]
      #expect(y.elementsEqual(row), "token \(token)")
    }
  }

  @Test("every row of a wide product is written")
  func everyRowOfAWideJobIsWritten() throws {
    // More panels than a piece holds and rows that do not fill the last, over several blocks of tokens.
    var generator = RandomGenerator(seed: 9)
    let linear = PackedLinear([
      try Self.part(.int2, .columns32, 1000, 64, &generator),
      try Self.part(.int8, .row, 7, 64, &generator),
    ])
    for tokenCount in [1, 2, 97] {
      let x = Self.input(tokenCount, 64)
      let y = Self.product(linear, x, tokenCount: tokenCount, threadCount: 3)
      let dense = linear.parts.flatMap { $0.quantized?.dense() ?? [] }
      for token in 0..<tokenCount {
        for row in 0..<1007 {
          var exact: Float = 0
          var bound: Float = 1e-5
          for column in 0..<64 {
            exact += dense[row * 64 + column] * x[token * 64 + column]
            bound += abs(dense[row * 64 + column]) * 2 / 254
          }
          #expect(abs(y[token * 1007 + row] - exact) <= bound, "token \(token) row \(row)")
        }
      }
    }
  }

  @Test("NaN is passed on to its token alone")
  func aNaNIsNotLost() throws {
    let linear = try Self.mixed(160)
    var x = Self.input(2, 160)
    x[160 + 5] = .nan
    let y = Self.product(linear, x, tokenCount: 2)
    #expect(y.map(\.isNaN) == (0..<y.count).map { $0 >= linear.outputSize })
  }
}
