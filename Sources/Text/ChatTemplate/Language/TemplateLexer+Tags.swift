internal import DuetSystem

/// The tokens inside a tag.
extension TemplateLexer {
  mutating func readTag(closing: UInt8) throws(ChatTemplateError) {
    let startLine = line
    // Inside brackets nothing ends the tag, so that two mappings may end side by side.
    var brackets = 0
    while position < source.count {
      if brackets == 0, consumeTagEnd(closing) { return }
      let byte = source[position]
      if "([{".utf8.contains(byte) { brackets += 1 }
      if ")]}".utf8.contains(byte) { brackets = max(0, brackets - 1) }
      switch byte {
      case Ascii.lineFeed, 0x20, 0x09, 0x0B, 0x0C:
        advance()
      case UInt8(ascii: "'"), UInt8(ascii: "\""):
        try readString(quote: byte)
      case UInt8(ascii: "0")...UInt8(ascii: "9"):
        try readNumber()
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "_"):
        let start = position
        while position < source.count, Ascii.isWord(source[position]) { position += 1 }
        guard position - start <= Self.longestName else {
          throw .syntax(line: line, problem: "a name is longer than any real one")
        }
        add(.name(String(decoding: source[start..<position], as: UTF8.self)))
      default:
        try readSymbol()
      }
    }
    throw .syntax(line: startLine, problem: "a tag is not closed")
  }

  /// Consumes the end of a tag if it is next, with the white space after it that its sign or
  /// `trim_blocks` drops.
  mutating func consumeTagEnd(_ closing: UInt8) -> Bool {
    var end = position
    var sign: UInt8 = 0
    let isOutput = closing == Ascii.closeBrace
    if source[end] == Ascii.minus || (source[end] == Ascii.plus && !isOutput) {
      sign = source[end]
      end += 1
    }
    guard end + 1 < source.count, source[end] == closing, source[end + 1] == Ascii.closeBrace
    else { return false }
    position = end + 2
    if sign == Ascii.minus {
      skipWhitespace()
    } else if sign == 0, !isOutput, position < source.count, source[position] == Ascii.lineFeed {
      advance()
    }
    return true
  }

  mutating func skipWhitespace() {
    while position < source.count {
      var decoder = UTF8()
      var rest = source[position...].makeIterator()
      guard case .scalarValue(let scalar) = decoder.decode(&rest),
        TemplateText.isWhitespace(scalar)
      else { return }
      if scalar.value == UInt32(Ascii.lineFeed) { line += 1 }
      position += UTF8.width(scalar)
    }
  }

  private mutating func readSymbol() throws(ChatTemplateError) {
    let two = String(decoding: source[position..<min(position + 2, source.count)], as: UTF8.self)
    if ["==", "!=", "<=", ">=", "//", "**"].contains(two) {
      position += 2
      add(.symbol(two))
      return
    }
    let byte = source[position]
    guard byte < 0x80, "+-/*%~[](){}<>=.:|,;".utf8.contains(byte) else {
      let rest = String(decoding: source[position..<min(position + 4, source.count)], as: UTF8.self)
      let character = rest.unicodeScalars.prefix(1)
      throw .syntax(line: line, problem: "the character '\(String(character))' is out of place")
    }
    position += 1
    add(.symbol(String(Unicode.Scalar(byte))))
  }

  private mutating func readString(quote: UInt8) throws(ChatTemplateError) {
    let startLine = line
    advance()
    var bytes: [UInt8] = []
    while position < source.count, source[position] != quote {
      if source[position] == Ascii.backslash {
        try readEscape(into: &bytes)
      } else {
        bytes.append(source[position])
        advance()
      }
    }
    guard position < source.count else {
      throw .syntax(line: startLine, problem: "a string is not closed")
    }
    position += 1
    tokens.append(TemplateToken(kind: .string(bytes), line: startLine))
  }

  /// Reads an escape sequence as Python does; an unknown one is kept as it is written.
  private mutating func readEscape(into bytes: inout [UInt8]) throws(ChatTemplateError) {
    position += 1
    guard position < source.count else { return }
    let letter = source[position]
    advance()
    switch letter {
    case Ascii.lineFeed: break
    case UInt8(ascii: "n"): bytes.append(0x0A)
    case UInt8(ascii: "r"): bytes.append(0x0D)
    case UInt8(ascii: "t"): bytes.append(0x09)
    case UInt8(ascii: "a"): bytes.append(0x07)
    case UInt8(ascii: "b"): bytes.append(0x08)
    case UInt8(ascii: "f"): bytes.append(0x0C)
    case UInt8(ascii: "v"): bytes.append(0x0B)
    case Ascii.backslash, UInt8(ascii: "'"), UInt8(ascii: "\""): bytes.append(letter)
    case UInt8(ascii: "x"): try readScalar(digits: 2, into: &bytes)
    case UInt8(ascii: "u"): try readScalar(digits: 4, into: &bytes)
    case UInt8(ascii: "U"): try readScalar(digits: 8, into: &bytes)
    case UInt8(ascii: "0")...UInt8(ascii: "7"): readOctal(into: &bytes)
    case UInt8(ascii: "N"):
      throw .unsupported(line: line, construct: "the escape sequence \\N")
    default:
      bytes += [Ascii.backslash, letter]
    }
  }

  private mutating func readScalar(
    digits: Int, into bytes: inout [UInt8]
  ) throws(ChatTemplateError) {
    let end = min(position + digits, source.count)
    let text = String(decoding: source[position..<end], as: UTF8.self)
    guard text.utf8.count == digits, text.utf8.allSatisfy(Ascii.isHexDigit),
      let scalar = UInt32(text, radix: 16).flatMap(Unicode.Scalar.init)
    else { throw .syntax(line: line, problem: "an escape sequence names no character") }
    bytes += Array(String(scalar).utf8)
    position = end
  }

  /// Reads a character by its number in up to three octal digits, of which one was passed.
  private mutating func readOctal(into bytes: inout [UInt8]) {
    var value = UInt32(source[position - 1] & 7)
    for _ in 0..<2 {
      guard position < source.count, (0x30...0x37).contains(source[position]) else { break }
      value = value << 3 | UInt32(source[position] & 7)
      position += 1
    }
    if let scalar = Unicode.Scalar(value) { bytes += Array(String(scalar).utf8) }
  }

  mutating func add(_ kind: TemplateToken.Kind) {
    tokens.append(TemplateToken(kind: kind, line: line))
  }
}
