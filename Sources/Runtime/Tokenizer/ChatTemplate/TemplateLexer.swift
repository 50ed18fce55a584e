/// A word of the template language, or the text between its tags.
struct TemplateToken: Equatable {
  enum Kind: Equatable {
    case text([UInt8])
    case outputBegin
    case outputEnd
    case blockBegin
    case blockEnd
    case name(String)
    case string([UInt8])
    case int(Int)
    case symbol(String)
    case end
  }

  var kind: Kind
  var line: Int
}

/// Cuts the source of a template into tokens, as Jinja does with `trim_blocks` and `lstrip_blocks`.
///
/// Those two settings drop the line break after a block or comment and the blanks before one that
/// begins its line. A minus sign inside a tag drops all white space on its side; a plus sign keeps it.
/// Line breaks are normalised to LF and one at the end of the source is dropped, as Jinja does.
///
/// - Complexity: O(length of the source).
struct TemplateLexer {
  private let source: [UInt8]
  private var position = 0
  private var line = 1
  private var tokens: [TemplateToken] = []

  static func tokens(of source: String) throws(ChatTemplateError) -> [TemplateToken] {
    var lexer = TemplateLexer(source)
    try lexer.run()
    return lexer.tokens
  }

  private init(_ text: String) {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.utf8.count)
    var previous: UInt8 = 0
    for byte in text.utf8 {
      if byte == Ascii.lineFeed, previous == Ascii.carriageReturn {
        // The pair was written as one line break when its first half came.
      } else {
        bytes.append(byte == Ascii.carriageReturn ? Ascii.lineFeed : byte)
      }
      previous = byte
    }
    if bytes.last == Ascii.lineFeed { bytes.removeLast() }
    source = bytes
  }

  // MARK: - Text between tags

  private mutating func run() throws(ChatTemplateError) {
    var startsLine = true
    while true {
      let start = position
      let textLine = line
      while position < source.count, !isTagStart { advance() }
      if position == source.count {
        addText(start..<position, line: textLine)
        tokens.append(TemplateToken(kind: .end, line: line))
        return
      }
      let tag = source[position + 1]
      let sign = position + 2 < source.count ? source[position + 2] : 0
      var textEnd = position
      if sign == Ascii.minus {
        textEnd = endOfTrimmedText(start..<textEnd)
      } else if sign != Ascii.plus, tag != Ascii.openBrace {
        textEnd = endWithoutIndentation(start..<textEnd, startsLine: startsLine)
      }
      addText(start..<textEnd, line: textLine)
      position += sign == Ascii.minus || sign == Ascii.plus ? 3 : 2
      switch tag {
      case Ascii.hash:
        try skipComment()
      default:
        let isOutput = tag == Ascii.openBrace
        tokens.append(
          TemplateToken(kind: isOutput ? .outputBegin : .blockBegin, line: line))
        try readTag(closing: isOutput ? Ascii.closeBrace : Ascii.percent)
        tokens.append(TemplateToken(kind: isOutput ? .outputEnd : .blockEnd, line: line))
      }
      startsLine = position > 0 && source[position - 1] == Ascii.lineFeed
    }
  }

  private var isTagStart: Bool {
    guard source[position] == Ascii.openBrace, position + 1 < source.count else { return false }
    let next = source[position + 1]
    return next == Ascii.openBrace || next == Ascii.percent || next == Ascii.hash
  }

  private mutating func addText(_ range: Range<Int>, line: Int) {
    guard !range.isEmpty else { return }
    tokens.append(TemplateToken(kind: .text(Array(source[range])), line: line))
  }

  private func endOfTrimmedText(_ range: Range<Int>) -> Int {
    let text = TemplateText(bytes: Array(source[range]))
    return range.lowerBound + text.stripped(start: false).bytes.count
  }

  /// Where the text ends when blanks that are all there is before a tag in its line are left out.
  private func endWithoutIndentation(_ range: Range<Int>, startsLine: Bool) -> Int {
    let lineStart = source[range].lastIndex(of: Ascii.lineFeed).map { $0 + 1 }
    guard let first = lineStart ?? (startsLine ? range.lowerBound : nil) else {
      return range.upperBound
    }
    let indentation = TemplateText(bytes: Array(source[first..<range.upperBound]))
    return indentation.stripped().isEmpty ? first : range.upperBound
  }

  private mutating func skipComment() throws(ChatTemplateError) {
    let startLine = line
    while position < source.count {
      if consumeTagEnd(Ascii.hash) { return }
      advance()
    }
    throw .syntax(line: startLine, problem: "a comment is not closed")
  }

  // MARK: - Inside tags

  private mutating func readTag(closing: UInt8) throws(ChatTemplateError) {
    let startLine = line
    while position < source.count {
      if consumeTagEnd(closing) { return }
      let byte = source[position]
      switch byte {
      case Ascii.lineFeed, 0x20, 0x09, 0x0B, 0x0C:
        advance()
      case UInt8(ascii: "'"), UInt8(ascii: "\""):
        try readString(quote: byte)
      case UInt8(ascii: "0")...UInt8(ascii: "9"):
        try readInteger()
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "_"):
        let start = position
        while position < source.count, Ascii.isWord(source[position]) { position += 1 }
        add(.name(String(decoding: source[start..<position], as: UTF8.self)))
      default:
        try readSymbol()
      }
    }
    throw .syntax(line: startLine, problem: "a tag is not closed")
  }

  /// Consumes the end of a tag, with what its sign or `trim_blocks` drops after it, if it is here.
  private mutating func consumeTagEnd(_ closing: UInt8) -> Bool {
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

  private mutating func skipWhitespace() {
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

  private mutating func readInteger() throws(ChatTemplateError) {
    let start = position
    while position < source.count, Ascii.isWord(source[position]) { position += 1 }
    let digits = String(decoding: source[start..<position], as: UTF8.self)
    let isFraction =
      position + 1 < source.count && source[position] == Ascii.dot
      && Ascii.isDigit(source[position + 1])
    let isDecimal = digits.utf8.allSatisfy(Ascii.isDigit)
    guard !isFraction, isDecimal, digits == "0" || !digits.hasPrefix("0") else {
      throw .unsupported(line: line, construct: "the number \(digits)\(isFraction ? "." : "")")
    }
    guard let value = Int(digits) else {
      throw .syntax(line: line, problem: "the number \(printable(digits, limit: 20)) is too large")
    }
    add(.int(value))
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

  /// Reads an escape sequence as Python does; one it does not know stays as it is written.
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
    case UInt8(ascii: "N"), UInt8(ascii: "0")...UInt8(ascii: "7"):
      throw .unsupported(
        line: line, construct: "the escape sequence \\\(String(Unicode.Scalar(letter)))")
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

  private mutating func add(_ kind: TemplateToken.Kind) {
    tokens.append(TemplateToken(kind: kind, line: line))
  }

  private mutating func advance() {
    if source[position] == Ascii.lineFeed { line += 1 }
    position += 1
  }
}

/// The ASCII characters that the lexer looks for.
private enum Ascii {
  static let lineFeed = UInt8(ascii: "\n")
  static let carriageReturn = UInt8(ascii: "\r")
  static let openBrace = UInt8(ascii: "{")
  static let closeBrace = UInt8(ascii: "}")
  static let percent = UInt8(ascii: "%")
  static let hash = UInt8(ascii: "#")
  static let minus = UInt8(ascii: "-")
  static let plus = UInt8(ascii: "+")
  static let dot = UInt8(ascii: ".")
  static let backslash = UInt8(ascii: "\\")

  static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

  static func isHexDigit(_ byte: UInt8) -> Bool {
    isDigit(byte) || (0x41...0x46).contains(byte & 0xDF)
  }

  static func isWord(_ byte: UInt8) -> Bool {
    isDigit(byte) || byte == 0x5F || (0x41...0x5A).contains(byte & 0xDF)
  }
}
