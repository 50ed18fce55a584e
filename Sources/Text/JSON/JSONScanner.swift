/// What the scanner or parser found wrong, before it is given the name of the file.
enum JSONFault: Error {
  case malformed(offset: Int, problem: JSONProblem)
  case tooDeep(offset: Int)
  case duplicateKey(offset: Int)
}

/// A position in a JSON text that moves over whole tokens.
///
/// The functions that run for every token are inlined by hand: without it the position goes through
/// memory at every byte and the parser takes twice as long.
struct JSONScanner: ~Escapable {
  private let text: Span<UInt8>
  /// The position of the next byte.
  private(set) var position = 0

  /// A scanner at the start of `text`, which must be UTF-8.
  @_lifetime(copy text)
  init(_ text: Span<UInt8>) {
    self.text = text
  }

  var isAtEnd: Bool { position == text.count }

  /// The next byte, which is not consumed.
  @inline(__always)
  func peek() throws(JSONFault) -> UInt8 {
    guard position < text.count else { throw fault(.endOfText) }
    return text[position]
  }

  /// Skips white space and returns the next byte, which is not consumed.
  @inline(__always)
  mutating func peekToken() throws(JSONFault) -> UInt8 {
    skipWhitespace()
    return try peek()
  }

  @inline(__always)
  mutating func skipWhitespace() {
    while position < text.count {
      let byte = text[position]
      guard byte <= 0x20, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else {
        return
      }
      position += 1
    }
  }

  /// Skips the byte that `peek` returned.
  mutating func advance() { position += 1 }

  func fault(_ problem: JSONProblem) -> JSONFault {
    .malformed(offset: position, problem: problem)
  }

  /// Skips `true`, `false` or `null`, whichever begins with `first`.
  mutating func skipLiteral(_ first: UInt8) throws(JSONFault) {
    let literal =
      switch first {
      case UInt8(ascii: "t"): "true"
      case UInt8(ascii: "f"): "false"
      default: "null"
      }
    for expected in literal.utf8 {
      let byte = try peek()
      guard byte == expected else { throw fault(.unexpectedByte(byte)) }
      position += 1
    }
  }

  // MARK: - Strings

  /// Skips a string with both of its quotes.
  @inline(__always)
  mutating func skipString() throws(JSONFault) {
    position += 1
    while position < text.count {
      let byte = text[position]
      if byte == UInt8(ascii: "\"") {
        position += 1
        return
      }
      if byte == UInt8(ascii: "\\") {
        try skipEscape()
      } else {
        guard byte >= 0x20 else { throw fault(.controlCharacter) }
        position += 1
      }
    }
    throw fault(.endOfText)
  }

  private mutating func skipEscape() throws(JSONFault) {
    let start = position
    position += 1
    switch try peek() {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"),
      UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
      position += 1
    case UInt8(ascii: "u"):
      position += 1
      let unit = try skipHexadecimal(escapeStart: start)
      guard unit & 0xF800 == 0xD800 else { return }
      guard unit < 0xDC00, position + 1 < text.count, text[position] == UInt8(ascii: "\\"),
        text[position + 1] == UInt8(ascii: "u")
      else { throw .malformed(offset: start, problem: .loneSurrogate) }
      position += 2
      guard try skipHexadecimal(escapeStart: start) & 0xFC00 == 0xDC00 else {
        throw .malformed(offset: start, problem: .loneSurrogate)
      }
    default: throw .malformed(offset: start, problem: .escape)
    }
  }

  private mutating func skipHexadecimal(escapeStart: Int) throws(JSONFault) -> UInt32 {
    var unit: UInt32 = 0
    for _ in 0..<4 {
      guard let digit = JSONText.hexadecimalDigit(try peek()) else {
        throw .malformed(offset: escapeStart, problem: .escape)
      }
      unit = unit << 4 | digit
      position += 1
    }
    return unit
  }

  // MARK: - Numbers

  @inline(__always)
  mutating func skipNumber() throws(JSONFault) {
    let start = position
    if text[position] == UInt8(ascii: "-") { position += 1 }
    let leadingZero = position < text.count && text[position] == UInt8(ascii: "0")
    let digitCount = skipDigits()
    var isValid = leadingZero ? digitCount == 1 : digitCount > 0
    if position < text.count, text[position] == UInt8(ascii: ".") {
      position += 1
      isValid = skipDigits() > 0 && isValid
    }
    if position < text.count, text[position] | 0x20 == UInt8(ascii: "e") {
      position += 1
      if position < text.count,
        text[position] == UInt8(ascii: "+") || text[position] == UInt8(ascii: "-")
      {
        position += 1
      }
      isValid = skipDigits() > 0 && isValid
    }
    guard isValid else { throw .malformed(offset: start, problem: .number) }
  }

  @inline(__always)
  private mutating func skipDigits() -> Int {
    let start = position
    while position < text.count, JSONText.isDigit(text[position]) { position += 1 }
    return position - start
  }
}
