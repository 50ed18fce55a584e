import DuetRuntime
import Testing

/// Paley's matrices and the choice of the dense factor.
@Suite("Hadamard matrices")
struct HadamardMatrixTests {
  /// Orders of which the generator should have a matrix, by Paley's theorem alone.
  private static let expectedOrders: Set<Int> = {
    var primePowers: Set<Int> = []
    for prime in 2...512 where (2..<prime).allSatisfy({ prime % $0 != 0 }) {
      var power = prime
      while power <= 512 {
        primePowers.insert(power)
        power *= prime
      }
    }
    var orders: Set<Int> = [1, 2]
    for q in primePowers {
      if q % 4 == 3 { orders.insert(q + 1) }
      if q % 4 == 1 { orders.insert(2 * (q + 1)) }
    }
    return orders
  }()

  @Test("rows are orthogonal")
  func rowsAreOrthogonal() {
    for order in 1...512 {
      guard let matrix = HadamardMatrix(order: order) else { continue }
      #expect(matrix.order == order && matrix.entries.count == order * order)
      #expect(matrix.entries.allSatisfy { abs($0) == 1 })
      // A row as bits, set for -1: two rows are orthogonal when half of their bits differ.
      let wordCount = (order + 63) / 64
      var words = [UInt64](repeating: 0, count: order * wordCount)
      for (index, entry) in matrix.entries.enumerated() where entry < 0 {
        let (row, column) = (index / order, index % order)
        words[row * wordCount + column / 64] |= 1 << UInt64(column % 64)
      }
      var oblique = 0
      for i in 0..<order {
        for j in 0..<i {
          var different = 0
          for word in 0..<wordCount {
            different += (words[i * wordCount + word] ^ words[j * wordCount + word]).nonzeroBitCount
          }
          if 2 * different != order { oblique += 1 }
        }
      }
      #expect(oblique == 0, "order \(order)")
    }
  }

  @Test("every order of Paley's constructions is there")
  func hasEveryOrderOfPaley() {
    for order in -2...512 {
      let exists = HadamardMatrix.exists(order: order)
      #expect(exists == Self.expectedOrders.contains(order), "order \(order)")
      #expect(exists == (HadamardMatrix(order: order) != nil))
    }
    for order in [1, 2, 12, 20, 28, 76, 108, 148, 344] {
      #expect(HadamardMatrix.exists(order: order))
    }
  }

  /// The multiples of 4 up to 200 that Paley's and Sylvester's constructions leave out are well known.
  @Test("the orders that need other constructions are missing")
  func missesTheOrdersThatNeedMore() {
    let missing = stride(from: 4, through: 200, by: 4).filter { multiple in
      var order = multiple
      while order > 1 {
        if HadamardMatrix.exists(order: order) { return false }
        if order % 2 != 0 { break }
        order /= 2
      }
      return true
    }
    #expect(missing == [92, 116, 156, 172, 184, 188])
  }

  @Test(
    "a size has the factor of the least order",
    arguments: [
      (1, 1), (2, 1), (4, 1), (64, 1), (128, 1), (256, 1), (4096, 1), (8192, 1), (16384, 1),
      (12, 12), (24, 12), (384, 12), (768, 12), (1536, 12), (3072, 12), (2560, 20), (5120, 20),
      (14336, 28), (28672, 28), (5632, 44), (9728, 76), (6912, 108), (13824, 108), (8960, 140),
      (18944, 148),
    ])
  func factorsWithTheLeastOrder(size: Int, order: Int) throws {
    let factor = try OrthogonalFactor(size: size)
    #expect(factor.isHadamard && factor.order == order && factor.width == size / order)
    #expect(factor.entries == HadamardMatrix(order: order)?.entries)
  }

  @Test(
    "other sizes have a random orthogonal factor",
    arguments: [
      (3, 3), (5, 5), (6, 3), (10, 5), (172, 43), (11008, 43), (47, 47), (29568, 231), (511, 511),
    ])
  func otherSizesHaveARandomFactor(size: Int, order: Int) throws {
    let factor = try OrthogonalFactor(size: size)
    #expect(!factor.isHadamard && factor.order == order && factor.width == size / order)
    // Entries are rounded to Float, by u = 2^-24 each, relatively: 2 u sum |a_i b_i| <= 2 u in a product
    // of rows of length 1. Some thousand roundings in Double, here and in the making, are below 2^-40.
    let bound = 2 * 0x1p-24 + 0x1p-40
    for i in Swift.stride(from: 0, to: order, by: max(1, order / 40)) {
      let wrong = (0..<order).filter { j in
        var product = 0.0
        for k in 0..<order {
          product += Double(factor.entries[i * order + k]) * Double(factor.entries[j * order + k])
        }
        return !(abs(product - (i == j ? 1 : 0)) <= bound)
      }
      #expect(wrong == [], "row \(i) of \(order)")
    }
  }

  /// Files depend on these matrices: a hash of the entries' bits from a second implementation, in Python.
  @Test(
    "random factors never change", arguments: [(3, UInt32(0xF119_F179)), (43, UInt32(0xA277_0300))])
  func randomFactorsNeverChange(order: Int, hash: UInt32) throws {
    let factor = try OrthogonalFactor(size: order)
    #expect(factor.entries.reduce(UInt32(0)) { $0 &* 31 &+ $1.bitPattern } == hash)
  }

  @Test("sizes without a factor are refused")
  func refusesWhatHasNoFactor() {
    for size in [0, -4, Int.min] {
      #expect(throws: IncoherenceError.notPositive(size: size)) { try OrthogonalFactor(size: size) }
    }
    for (size, odd) in [(513, 513), (2 * 515, 515), (Int.max, Int.max), (1 << 40 | 1, 1 << 40 | 1)]
    {
      #expect(throws: IncoherenceError.oddPartTooLarge(size: size, oddPart: odd, largest: 512)) {
        try OrthogonalFactor(size: size)
      }
    }
  }
}
