/// The type of a tensor's elements, named as in safetensors files.
///
/// All are little-endian. The runtime reads `f32`, `f16`, `bf16`, `u8`, `i8` and `i32`; the others are
/// known so that a file with them can be checked and refused with a clear message.
public enum ElementType: String, Sendable, Hashable, CaseIterable {
  /// IEEE 754 floats of 64, 32 and 16 bits, and the upper half of a 32-bit float.
  case f64 = "F64"
  case f32 = "F32"
  case f16 = "F16"
  case bf16 = "BF16"
  /// Signed integers in two's complement.
  case i64 = "I64"
  case i32 = "I32"
  case i16 = "I16"
  case i8 = "I8"
  /// Unsigned integers.
  case u64 = "U64"
  case u32 = "U32"
  case u16 = "U16"
  case u8 = "U8"
  /// One byte, 0 or 1.
  case bool = "BOOL"
  /// Two 32-bit floats.
  case c64 = "C64"
  /// Floats of eight bits, named by their exponent and fraction bits.
  case f8e4m3 = "F8_E4M3"
  case f8e5m2 = "F8_E5M2"
  case f8e8m0 = "F8_E8M0"
  case f8e4m3fnuz = "F8_E4M3FNUZ"
  case f8e5m2fnuz = "F8_E5M2FNUZ"
  /// Floats of six and four bits, packed without gaps.
  case f6e2m3 = "F6_E2M3"
  case f6e3m2 = "F6_E3M2"
  case f4 = "F4"

  /// The size of an element in bits.
  public var bitCount: Int {
    switch self {
    case .f64, .i64, .u64, .c64: 64
    case .f32, .i32, .u32: 32
    case .f16, .bf16, .i16, .u16: 16
    case .i8, .u8, .bool, .f8e4m3, .f8e5m2, .f8e8m0, .f8e4m3fnuz, .f8e5m2fnuz: 8
    case .f6e2m3, .f6e3m2: 6
    case .f4: 4
    }
  }

  /// The size of an element in bytes, rounded up: 1 for the types of four and six bits.
  public var byteCount: Int { (bitCount + 7) / 8 }

  /// The alignment of an element in bytes: `byteCount`, but 4 for `c64`.
  public var alignment: Int { self == .c64 ? 4 : byteCount }
}
