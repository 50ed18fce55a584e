/// A token of the template language, or the text between its tags.
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
    case double(Double)
    case symbol(String)
    case end
  }

  var kind: Kind
  var line: Int
}

/// A lexer of templates, which works as Jinja does with `trim_blocks` and `lstrip_blocks`.
///
/// Those two settings drop the line break after a block or comment, and the blanks before one that
/// is first on its line. A minus sign inside a tag drops all white space on its side; a plus sign
/// keeps it. Line breaks are normalised to LF and one at the end of the source is dropped, as Jinja
/// does.
///
/// - Complexity: O(length of the source).
struct TemplateLexer {
  let source: [UInt8]
  var position = 0
  var line = 1
  var tokens: [TemplateToken] = []

  /// The longest name, in bytes: a look at a name counts as one step of the interpreter.
  static let longestName = 1024

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
        // The carriage return of the pair was already written as a line break.
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
      case Ascii.percent where consumeRawBegin():
        try readRaw()
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

  mutating func addText(_ range: Range<Int>, line: Int) {
    guard !range.isEmpty else { return }
    tokens.append(TemplateToken(kind: .text(Array(source[range])), line: line))
  }

  func endOfTrimmedText(_ range: Range<Int>) -> Int {
    let text = TemplateText(bytes: Array(source[range]))
    return range.lowerBound + text.stripped(start: false).bytes.count
  }

  /// The end of the text without the blanks before a tag that is first on its line.
  func endWithoutIndentation(_ range: Range<Int>, startsLine: Bool) -> Int {
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

  mutating func advance() {
    if source[position] == Ascii.lineFeed { line += 1 }
    position += 1
  }
}

extension TemplateLexer {
  /// The ASCII characters that the lexer looks for.
  enum Ascii {
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
}
