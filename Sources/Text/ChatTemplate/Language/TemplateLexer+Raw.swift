/// `{% raw %}` blocks, whose text is kept as it is.
extension TemplateLexer {
  /// Consumes the rest of the tag `{% raw %}` after its opening, if that is what follows.
  mutating func consumeRawBegin() -> Bool {
    guard let end = endOfTag(named: "raw", from: position) else { return false }
    position = end.position
    if end.sign == Ascii.minus { skipWhitespace() }
    return true
  }

  /// Reads up to and with the tag `{% endraw %}`.
  mutating func readRaw() throws(ChatTemplateError) {
    let start = position
    let startLine = line
    while position + 1 < source.count {
      if source[position] == Ascii.openBrace, source[position + 1] == Ascii.percent {
        let tagStart = position
        var next = position + 2
        let sign = next < source.count ? source[next] : 0
        if sign == Ascii.minus || sign == Ascii.plus { next += 1 }
        if let end = endOfTag(named: "endraw", from: next) {
          var textEnd = tagStart
          if sign == Ascii.minus {
            textEnd = endOfTrimmedText(start..<textEnd)
          } else if sign != Ascii.plus {
            textEnd = endWithoutIndentation(start..<textEnd, startsLine: false)
          }
          addText(start..<textEnd, line: startLine)
          position = end.position
          if end.sign == Ascii.minus {
            skipWhitespace()
          } else if end.sign == 0, position < source.count, source[position] == Ascii.lineFeed {
            advance()
          }
          return
        }
      }
      advance()
    }
    throw .syntax(line: startLine, problem: "a raw block is not closed")
  }

  /// The position after a tag that consists of `name`, and the sign before its end.
  private func endOfTag(named name: String, from start: Int) -> (position: Int, sign: UInt8)? {
    var next = start
    func skipBlanks() {
      while next < source.count, source[next] == 0x20 || (0x09...0x0D).contains(source[next]) {
        next += 1
      }
    }
    skipBlanks()
    guard source[next...].starts(with: name.utf8) else { return nil }
    next += name.utf8.count
    skipBlanks()
    guard next < source.count else { return nil }
    var sign: UInt8 = 0
    if source[next] == Ascii.minus || source[next] == Ascii.plus {
      sign = source[next]
      next += 1
    }
    guard next + 1 < source.count, source[next] == Ascii.percent,
      source[next + 1] == Ascii.closeBrace
    else { return nil }
    return (next + 2, sign)
  }
}
