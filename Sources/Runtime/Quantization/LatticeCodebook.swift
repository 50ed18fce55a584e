internal import DuetText

/// The E8P codebook: 2^16 points of the lattices E8 + 1/4 and E8 - 1/4, generated from their definition.
///
/// A code is an index byte, the low one, and a sign byte. The index names one of 256 patterns of
/// absolute values 1/2, 3/2 and 5/2: all 227 of squared norm at most 10 and 29 of norm 12. The sign byte
/// makes the pattern a point of E8 and says whether 1/4 is added or subtracted. All numbers here are
/// four times the coordinates: odd integers between -11 and 11.
///
/// Source: Tseng et al., QuIP#, arXiv:2402.04396, section 4.2; the mapping of bytes to patterns and
/// signs is our choice, explained in `PackedFormats.h` of the kernels.
package struct LatticeCodebook: Sendable {
  /// A pattern or a point, four times each of its eight coordinates.
  package typealias Point = SIMD8<Int8>

  /// The codebook, generated once.
  package static let e8p = LatticeCodebook()

  /// Four times the absolute values of the pattern of each index byte: 2, 6 and 10.
  package let patterns: [Point]

  /// Four times the coordinates of each index byte with sign bits of 0; a bit of 1 negates a coordinate.
  ///
  /// They are -1/2, 3/2 and -5/2, so that the lowest bit of coordinate + 5/2 is 0.
  private let unsigned: [Point]
  /// The index of the pattern with 5/2 at p and, unless q = p, 3/2 at q, at 8p + q.
  private let indexOfFive: [UInt8]

  private init() {
    let masks = (0...UInt8.max).map(Self.mask)
    patterns = masks.map { mask in
      Point.selected(by: mask.above, 6, 2)
        .replacing(with: 10, where: Point.mask(mask.five))
    }
    unsigned = patterns.map { $0.replacing(with: 0 &- $0, where: $0 .!= 6) }
    var indexOfFive = [UInt8](repeating: 0, count: 64)
    for (index, mask) in masks.enumerated() where mask.five != 0 {
      let others = mask.above ^ mask.five
      let p = mask.five.trailingZeroBitCount
      let q = others == 0 ? p : others.trailingZeroBitCount
      indexOfFive[8 * p + q] = UInt8(index)
    }
    self.indexOfFive = indexOfFive
  }

  /// Four times the eight coordinates of `code`, its index byte in the low bits.
  package func point(of code: UInt16) -> Point {
    let signs = UInt8(code >> 8)
    let isShiftedDown = signs.nonzeroBitCount % 2 == 1
    let bits = isShiftedDown ? signs ^ 0x80 : signs
    let start = unsigned[Int(code & 0xFF)]
    let point = start.replacing(with: 0 &- start, where: Point.mask(bits))
    return isShiftedDown ? point &- 1 : point &+ 1
  }

  /// The code of `point`, or nil when it is not in the codebook.
  package func code(of point: Point) -> UInt16? {
    // Without the shift all numbers are 2 modulo 4, so the first of them tells the shift.
    let isShiftedDown = point[0] & 3 == 1
    let centered = isShiftedDown ? point &+ 1 : point &- 1
    guard centered.wrappedSum() & 7 == 0 else { return nil }
    var above: UInt8 = 0
    var five: UInt8 = 0
    var bits: UInt8 = 0
    for i in 0..<8 {
      let bit: UInt8 = 1 << UInt8(i)
      switch centered[i] {
      case -2: break
      case 2: bits |= bit
      case 6: above |= bit
      case -6: (above, bits) = (above | bit, bits | bit)
      case -10: (above, five) = (above | bit, five | bit)
      case 10: (above, five, bits) = (above | bit, five | bit, bits | bit)
      default: return nil
      }
    }
    guard let index = index(above, five) else { return nil }
    return UInt16(index) | UInt16(isShiftedDown ? bits ^ 0x80 : bits) << 8
  }

  /// The index of the pattern with these masks, or nil when it is not among the 256.
  private func index(_ above: UInt8, _ five: UInt8) -> UInt8? {
    guard five != 0 else { return Self.isMask(above) ? above : nil }
    let others = above ^ five
    guard five.nonzeroBitCount == 1, others.nonzeroBitCount <= 1 else { return nil }
    let p = five.trailingZeroBitCount
    return indexOfFive[8 * p + (others == 0 ? p : others.trailingZeroBitCount)]
  }

  // MARK: - The definition

  /// Whether the index is itself the mask of the coordinates that are 3/2.
  private static func isMask(_ index: UInt8) -> Bool {
    let (low, high) = (index & 15, index >> 4)
    let f = 10 * low.nonzeroBitCount + (low.nonzeroBitCount > 2 ? 5 : 0)
    let g = high == 1 ? 5 : 10 * high.nonzeroBitCount
    return f + g <= 50
  }

  /// The coordinates of a pattern that are not 1/2, and among them the one that is 5/2.
  private static func mask(_ index: UInt8) -> (above: UInt8, five: UInt8) {
    if isMask(index) { return (index, 0) }
    let number = first(index & 15) + rank(index >> 4)
    let five: UInt8 = 1 << UInt8(number / 8)
    return (five | 1 << UInt8(number % 8), five)
  }

  /// The first number of a low nibble, chosen so that first + rank is each of 0 ..< 64 once.
  ///
  /// A low nibble of four set bits occurs with the high nibbles of all 14 ranks, one of three set bits
  /// with the first 11, and one of two set bits only with 15, whose rank is 10.
  private static func first(_ low: UInt8) -> Int {
    let bitCount = low.nonzeroBitCount
    let place = (0..<low).count { $0.nonzeroBitCount == bitCount }
    switch bitCount {
    case 4: return 0
    case 3: return 14 + 11 * place
    default: return 14 + 4 * 11 - 10 + place
    }
  }

  /// The place of a high nibble among 3 5 6 7 9 10 11 12 13 14 15 2 4 8.
  private static func rank(_ high: UInt8) -> Int {
    let order = (2..<16).filter { $0.nonzeroBitCount > 1 } + [2, 4, 8]
    return order.firstIndex(of: Int(high)) ?? 0
  }
}

extension LatticeCodebook.Point {
  /// The mask of the lanes whose bit is set.
  fileprivate static func mask(_ bits: UInt8) -> SIMDMask<SIMD8<Int8>> {
    let lanes = SIMD8<UInt8>(1, 2, 4, 8, 16, 32, 64, 128)
    return SIMD8<Int8>(truncatingIfNeeded: SIMD8<UInt8>(repeating: bits) & lanes) .!= 0
  }

  /// `one` where the bit is set, else `other`.
  fileprivate static func selected(by bits: UInt8, _ one: Int8, _ other: Int8) -> Self {
    Self(repeating: other).replacing(with: one, where: mask(bits))
  }
}
