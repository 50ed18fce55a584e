/// A 16-bit float with the exponent range of `Float`: its upper half.
@frozen
public struct BFloat16: BitwiseCopyable, Sendable, Hashable {
  /// One sign bit, eight exponent bits, seven fraction bits.
  public var bitPattern: UInt16

  /// The value with the given bits.
  @inlinable
  public init(bitPattern: UInt16) { self.bitPattern = bitPattern }

  /// `value` rounded to the nearest representable value, ties to the even one.
  ///
  /// Values that round beyond the largest finite one become infinite; a NaN stays a (quiet) NaN of
  /// the same sign.
  @inlinable
  public init(_ value: Float) {
    let bits = value.bitPattern
    if value.isNaN {
      bitPattern = UInt16(truncatingIfNeeded: bits >> 16) | 0x0040
    } else {
      // Adds half a unit of the last place kept, minus one when that place is even. It cannot overflow:
      // the largest bit pattern that is not a NaN is that of -infinity, 0xFF800000.
      let rounded = bits + 0x7FFF + (bits >> 16 & 1)
      bitPattern = UInt16(truncatingIfNeeded: rounded >> 16)
    }
  }
}

extension Float {
  /// The exact value of a `BFloat16`.
  @inlinable
  package init(_ value: BFloat16) {
    self.init(bitPattern: UInt32(value.bitPattern) << 16)
  }
}
