import DuetRuntime
import Kernels
import Testing

/// Rounding to the points of e8p: every set against `portable`, bit for bit, and all of them against a
/// search of the whole codebook in Double.
@Suite("Kernels for rounding to E8P")
struct RoundingTests {
  /// Rounds `rows` times eight numbers x[i * stride + r].
  private func rounded(_ name: String, _ x: [Float], _ scales: [Float], rows: Int, stride: Int)
    -> [Float]
  {
    var y = [Float](repeating: 77, count: x.count)
    table(name).round_e8p(x, scales, rows, stride, &y)
    return y
  }

  /// Eight numbers for each of 512 rows, in units of the scale: around the origin, on the borders
  /// between points and on points (multiples of 1/4 are all of these), outside of the codebook, huge, tiny.
  static let kinds = ["ordinary", "quarters", "outside", "huge", "tiny"]

  private func inputs(_ kind: String, _ generator: inout RandomGenerator) -> [Float] {
    gaussians(8 * 512, &generator).map { number in
      switch kind {
      case "quarters": (number * 6).rounded() / 4
      case "outside": number * 4
      case "huge": number * 1e6
      case "tiny": number * 1e-6
      default: number
      }
    }
  }

  @Test(
    "every set agrees with the portable one, bit for bit",
    arguments: kernelTables.filter { $0 != "portable" }, kinds)
  func everySetAgreesWithPortable(name: String, kind: String) {
    var generator = RandomGenerator(seed: 31)
    for scale in [1, Float(0.0371), 0x1p-24, 65504] {
      let x = inputs(kind, &generator).map { $0 * scale }
      var scales = [Float](repeating: scale, count: 512)
      for row in stride(from: 3, to: 512, by: 17) { scales[row] = 0 }
      for rows in [512, 500, 17, 1] {
        let expected = rounded("portable", x, scales, rows: rows, stride: 512)
        let actual = rounded(name, x, scales, rows: rows, stride: 512)
        let differing = (0..<8 * 512).first { index in
          index % 512 < rows && actual[index].bitPattern != expected[index].bitPattern
        }
        #expect(differing == nil, "\(name) \(kind) scale \(scale) rows \(rows)")
      }
    }
  }

  @Test("points are the nearest of the codebook", arguments: kernelTables, kinds)
  func pointsAreTheNearestOfTheCodebook(name: String, kind: String) {
    let points = (UInt16(0)...UInt16.max).map {
      SIMD8<Double>(SIMD8<Float>(LatticeCodebook.e8p.point(of: $0))) / 4
    }
    var generator = RandomGenerator(seed: 32)
    let scale = Float(0.0371)
    let x = inputs(kind, &generator).map { $0 * scale }
    let y = rounded(name, x, [Float](repeating: scale, count: 512), rows: 512, stride: 512)
    for row in 0..<128 {
      var v = SIMD8<Double>()
      var point = SIMD8<Double>()
      for i in 0..<8 {
        v[i] = Double(x[i * 512 + row]) / Double(scale)
        point[i] = Double(y[i * 512 + row] / scale).roundedToQuarters
      }
      #expect(LatticeCodebook.e8p.code(of: SIMD8<Int8>(SIMD8<Float>(point * 4))) != nil)
      func cost(_ point: SIMD8<Double>) -> Double { ((point - 2 * v) * point).sum() }
      var least = Double.infinity
      for candidate in points { least = min(least, cost(candidate)) }
      // Half the squared distance is computed in at most 20 roundings, each of a number of at most
      // 3 * sum (1 + |v_i|), and so is that of the point which is truly nearest: 4 * 20 * 3 * 2^-24 is
      // below 2^-16 for the two whole ones.
      var bound = 0.0
      for i in 0..<8 { bound += 1 + abs(v[i]) }
      #expect(cost(point) <= least + 0x1p-16 * bound, "\(name) \(kind) row \(row)")
      for i in 0..<8 { #expect(y[i * 512 + row] == scale * Float(point[i])) }
    }
  }

  @Test("of points that are as near the first is taken", arguments: kernelTables)
  func tiesGoToTheFirst(name: String) {
    let cases: [(v: [Float], point: [Float])] = [
      // Both shifts are as near: +1/4, and all of -1/2.
      ([0, 0, 0, 0, 0, 0, 0, 0], [-0.25, -0.25, -0.25, -0.25, -0.25, -0.25, -0.25, -0.25]),
      // Between 1/2 and 3/2 everywhere: the fewest 3/2.
      (
        [1.25, 1.25, 1.25, 1.25, 1.25, 1.25, 1.25, 1.25],
        [0.75, 0.75, 0.75, 0.75, 0.75, 0.75, 0.75, 0.75]
      ),
      // One minus too many: as dear to flip anywhere, or to make a number 3/2. The first is flipped.
      (
        [0.75, 0.75, 0.75, -0.25, 0.75, 0.75, 0.75, 0.75],
        [-0.25, 0.75, 0.75, -0.25, 0.75, 0.75, 0.75, 0.75]
      ),
      // Two 3/2 with one minus are no point; of equal numbers the first is 3/2.
      (
        [0.75, 1.5, 0.75, 1.5, 0.75, 0.75, -0.25, 0.75],
        [0.75, 1.75, 0.75, 0.75, 0.75, 0.75, -0.25, 0.75]
      ),
      // 5/2 is taken once, by the first; the parity of one 3/2 is that of an odd number of minuses, so
      // the first of the six is flipped.
      (
        [0, 9, 0, 0, 0, 9, 0, 0],
        [0.75, 2.75, -0.25, -0.25, -0.25, 1.75, -0.25, -0.25]
      ),
    ]
    for (v, point) in cases {
      var x = [Float](repeating: 0, count: 8 * 16)
      for i in 0..<8 { for lane in 0..<16 { x[i * 16 + lane] = v[i] * 2 } }
      let y = rounded(name, x, [Float](repeating: 2, count: 16), rows: 16, stride: 16)
      for lane in 0..<16 {
        #expect((0..<8).map { y[$0 * 16 + lane] / 2 } == point, "\(name) \(v)")
      }
    }
  }

  @Test("scales of zero give zeros, and other rows stay", arguments: kernelTables)
  func zeroScalesGiveZerosAndOtherRowsStay(name: String) {
    var generator = RandomGenerator(seed: 33)
    let x = gaussians(8 * 48, &generator)
    var scales = [Float](repeating: 0, count: 48)
    scales[1] = 0.5
    var y = x
    // In place, 17 of 48 rows: numbers of the padding to 32 may change, those behind may not.
    y.withUnsafeMutableBufferPointer { y in
      guard let base = y.baseAddress else { return }
      table(name).round_e8p(base, scales, 17, 48, base)
    }
    for i in 0..<8 {
      for row in 0..<17 {
        if row == 1 {
          #expect(y[i * 48 + row] != 0)
        } else {
          #expect(y[i * 48 + row].bitPattern == 0)
        }
      }
      #expect(Array(y[i * 48 + 32..<i * 48 + 48]) == Array(x[i * 48 + 32..<i * 48 + 48]))
    }
  }
}

extension Double {
  /// The nearest multiple of 1/4.
  fileprivate var roundedToQuarters: Double { (self * 4).rounded() / 4 }
}
