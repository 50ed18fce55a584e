internal import DuetSystem

/// The decoding of strings and numbers that the parser has found to be well formed.
///
/// All functions take the position of the first byte of a value and stay inside `bytes` even if the
/// value is not what it should be.
enum JSONText {
  static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  static func hexadecimalDigit(_ byte: UInt8) -> UInt32? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(byte - UInt8(ascii: "a")) + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(byte - UInt8(ascii: "A")) + 10
    default: nil
    }
  }

  // MARK: - Strings

  static func string(_ bytes: [UInt8], at position: Int) -> String {
    if let range = plainText(bytes, at: position) {
      return String(decoding: bytes[range], as: UTF8.self)
    }
    var decoded: [UInt8] = []
    appendUTF8(bytes, at: position, to: &decoded)
    return String(decoding: decoded, as: UTF8.self)
  }

  static func appendUTF8(_ bytes: [UInt8], at position: Int, to result: inout [UInt8]) {
    if let range = plainText(bytes, at: position) {
      result.append(contentsOf: bytes[range])
      return
    }
    var reader = JSONStringReader(bytes.span, position: position)
    while let byte = reader.next() { result.append(byte) }
  }

  /// The range of the text of a string without escapes, or nil for a string with escapes.
  ///
  /// Most strings have no escapes and can be copied as a whole.
  private static func plainText(_ bytes: [UInt8], at position: Int) -> Range<Int>? {
    var end = position + 1
    while end < bytes.count, bytes[end] != UInt8(ascii: "\""), bytes[end] != UInt8(ascii: "\\") {
      end += 1
    }
    return end < bytes.count && bytes[end] == UInt8(ascii: "\"") ? position + 1..<end : nil
  }

  // MARK: - Numbers

  /// The magnitude of the integer at `position`, or nil when the number has a fraction or an
  /// exponent or does not fit.
  static func integer(_ bytes: [UInt8], at position: Int) -> (magnitude: UInt64, isNegative: Bool)?
  {
    guard position < bytes.count else { return nil }
    let isNegative = bytes[position] == UInt8(ascii: "-")
    var index = isNegative ? position + 1 : position
    guard index < bytes.count, isDigit(bytes[index]) else { return nil }
    var magnitude: UInt64 = 0
    while index < bytes.count, isDigit(bytes[index]) {
      let (product, overflow) = magnitude.multipliedReportingOverflow(by: 10)
      let digit = UInt64(bytes[index] - UInt8(ascii: "0"))
      let (sum, carry) = product.addingReportingOverflow(digit)
      guard !overflow, !carry else { return nil }
      magnitude = sum
      index += 1
    }
    if index < bytes.count {
      switch bytes[index] {
      case UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"): return nil
      default: break
      }
    }
    return (magnitude, isNegative)
  }

  static func double(_ bytes: [UInt8], at position: Int) -> Double? {
    var end = position
    while end < bytes.count {
      switch bytes[end] {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "+"),
        UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"):
        end += 1
        continue
      default: break
      }
      break
    }
    guard position < end,
      let value = Double(String(decoding: bytes[position..<end], as: UTF8.self)), value.isFinite
    else { return nil }
    return value
  }
}

/// The decoded bytes of one string, in order.
struct JSONStringReader: ~Escapable {
  private let bytes: Span<UInt8>
  private var position: Int
  /// Bytes of an escaped character that are still to be returned, the next one in the lowest bits.
  private var pending: UInt32 = 0
  private var pendingCount = 0

  /// A reader of the string whose opening quote is at `position`.
  @_lifetime(copy bytes)
  init(_ bytes: Span<UInt8>, position: Int) {
    self.bytes = bytes
    self.position = position + 1
  }

  @inline(__always)
  mutating func next() -> UInt8? {
    if pendingCount > 0 {
      defer {
        pending >>= 8
        pendingCount -= 1
      }
      return UInt8(truncatingIfNeeded: pending)
    }
    guard position < bytes.count else { return nil }
    let byte = bytes[position]
    switch byte {
    case UInt8(ascii: "\""): return nil
    case UInt8(ascii: "\\"): return nextEscaped()
    default:
      position += 1
      return byte
    }
  }

  private mutating func nextEscaped() -> UInt8? {
    guard position + 1 < bytes.count else { return nil }
    let kind = bytes[position + 1]
    position += 2
    switch kind {
    case UInt8(ascii: "b"): return 0x08
    case UInt8(ascii: "f"): return 0x0C
    case UInt8(ascii: "n"): return 0x0A
    case UInt8(ascii: "r"): return 0x0D
    case UInt8(ascii: "t"): return 0x09
    case UInt8(ascii: "u"): break
    default: return kind
    }
    var value = nextUnit()
    if value & 0xFC00 == 0xD800 {
      position += 2
      value = 0x10000 + ((value & 0x3FF) << 10) + (nextUnit() & 0x3FF)
    }
    return firstByte(of: value)
  }

  /// The first UTF-8 byte of a scalar; the others become pending.
  private mutating func firstByte(of scalar: UInt32) -> UInt8 {
    func continuation(_ shift: UInt32) -> UInt32 { 0x80 | (scalar >> shift & 0x3F) }
    let first: UInt32
    switch scalar {
    case 0..<0x80: first = scalar
    case 0x80..<0x800:
      first = 0xC0 | scalar >> 6
      (pending, pendingCount) = (continuation(0), 1)
    case 0x800..<0x10000:
      first = 0xE0 | scalar >> 12
      (pending, pendingCount) = (continuation(6) | continuation(0) << 8, 2)
    default:
      first = 0xF0 | scalar >> 18
      pending = continuation(12) | continuation(6) << 8 | continuation(0) << 16
      pendingCount = 3
    }
    return UInt8(truncatingIfNeeded: first)
  }

  private mutating func nextUnit() -> UInt32 {
    var unit: UInt32 = 0
    for _ in 0..<4 where position < bytes.count {
      unit = unit << 4 | (JSONText.hexadecimalDigit(bytes[position]) ?? 0)
      position += 1
    }
    return unit
  }
}
