/// The code points that byte-level vocabularies write in place of bytes.
///
/// Bytes 0x21-0x7E, 0xA1-0xAC and 0xAE-0xFF are written as the code points of the same value; the
/// other 68 are written, in increasing order, as U+0100 ... U+0143 (so a space is U+0120 "Ġ").
///
/// Source: Radford et al., GPT-2, `bytes_to_unicode`.
enum ByteLevelAlphabet {
  /// The code point of each byte, all below U+0144.
  static let codePoints: [UInt16] = {
    var result: [UInt16] = []
    var next: UInt16 = 0x100
    for byte in UInt16(0)...0xFF {
      switch byte {
      case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: result.append(byte)
      default:
        result.append(next)
        next += 1
      }
    }
    return result
  }()

  /// The byte of each code point below U+0144, or -1.
  private static let bytes: [Int16] = {
    var result = [Int16](repeating: -1, count: 0x144)
    for (byte, codePoint) in codePoints.enumerated() { result[Int(codePoint)] = Int16(byte) }
    return result
  }()

  /// Appends the UTF-8 spelling of `byte`: one or two bytes.
  static func append(_ byte: UInt8, to result: inout [UInt8]) {
    let codePoint = codePoints[Int(byte)]
    if codePoint < 0x80 {
      result.append(UInt8(codePoint))
    } else {
      result.append(UInt8(0xC0 | codePoint >> 6))
      result.append(UInt8(0x80 | codePoint & 0x3F))
    }
  }

  /// The bytes that `text[range]` spells, all of whose characters are of the alphabet.
  static func bytes(spelledBy text: [UInt8], in range: Range<Int>) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(range.count)
    var value = 0
    for position in range {
      let byte = Int(text[position])
      value = byte < 0x80 ? byte : byte < 0xC0 ? value << 6 | byte & 0x3F : byte & 0x1F
      if byte < 0xC0 { result.append(UInt8(truncatingIfNeeded: bytes[value])) }
    }
    return result
  }

  /// The bytes that `piece` spells, or nil when it holds a character outside the alphabet.
  static func decode(_ piece: [UInt8]) -> [UInt8]? {
    var result: [UInt8] = []
    result.reserveCapacity(piece.count)
    for scalar in String(decoding: piece, as: UTF8.self).unicodeScalars {
      guard scalar.value < bytes.count, bytes[Int(scalar.value)] >= 0 else { return nil }
      result.append(UInt8(bytes[Int(scalar.value)]))
    }
    return result
  }
}
