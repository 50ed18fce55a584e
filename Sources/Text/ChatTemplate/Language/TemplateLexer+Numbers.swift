/// Number literals.
extension TemplateLexer {
  /// Reads an integer or a number with a fraction or an exponent, with Python's underscores.
  ///
  /// After a dot a number is an index (`a.0.b`), so it has no fraction.
  mutating func readNumber() throws(ChatTemplateError) {
    if source[position] == UInt8(ascii: "0"), position + 1 < source.count,
      let radix = Self.radix(source[position + 1])
    {
      position += 2
      let digits = readDigits(radix: radix)
      return try addInteger(digits, radix: radix)
    }
    let followsDot = tokens.last?.kind == .symbol(".")
    var text = readDigits(radix: 10)
    var isFraction = false
    if !followsDot {
      if position + 1 < source.count, source[position] == Ascii.dot,
        Ascii.isDigit(source[position + 1])
      {
        position += 1
        text += "." + readDigits(radix: 10)
        isFraction = true
      }
      if let exponent = readExponent() {
        text += exponent
        isFraction = true
      }
    }
    guard isFraction else { return try addInteger(text, radix: 10) }
    guard let value = Double(text) else {
      throw .syntax(line: line, problem: "a number has no value")
    }
    add(.double(value))
  }

  private static func radix(_ letter: UInt8) -> Int? {
    switch letter | 0x20 {
    case UInt8(ascii: "x"): 16
    case UInt8(ascii: "o"): 8
    case UInt8(ascii: "b"): 2
    default: nil
    }
  }

  /// The digits from here on, without the underscores between them.
  private mutating func readDigits(radix: Int) -> String {
    var digits = ""
    while position < source.count {
      let scalar = Unicode.Scalar(source[position])
      if Character(scalar).hexDigitValue.map({ $0 < radix }) ?? false {
        digits.unicodeScalars.append(scalar)
      } else if scalar != "_" {
        break
      }
      position += 1
    }
    return digits
  }

  private mutating func readExponent() -> String? {
    guard position < source.count, source[position] | 0x20 == UInt8(ascii: "e") else { return nil }
    var start = position + 1
    var sign = ""
    if start < source.count, source[start] == Ascii.minus || source[start] == Ascii.plus {
      sign = source[start] == Ascii.minus ? "-" : ""
      start += 1
    }
    guard start < source.count, Ascii.isDigit(source[start]) else { return nil }
    position = start
    return "e" + sign + readDigits(radix: 10)
  }

  private mutating func addInteger(_ digits: String, radix: Int) throws(ChatTemplateError) {
    let isOctalLike = radix == 10 && digits.hasPrefix("0") && digits.contains { $0 != "0" }
    guard !digits.isEmpty, !isOctalLike else {
      throw .syntax(line: line, problem: "a number is malformed")
    }
    guard let value = Int(digits, radix: radix) else {
      throw .syntax(line: line, problem: "a number is too large")
    }
    add(.int(value))
  }
}
