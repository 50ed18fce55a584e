internal import DuetSystem

/// A field of one of Python's two formatting languages.
struct TemplateFormatField {
  var fill: Unicode.Scalar = " "
  /// `<`, `>`, `^`, `=`, or nil for the usual side.
  var alignment: Character?
  var sign: Character?
  var isAlternate = false
  var hasCommas = false
  var width = 0
  var precision: Int?
  var letter: Character = "s"
  /// Whether the format has content, so that fills and signs may come from a message.
  var isContent = false
}

/// Formatting of numbers and strings.
extension TemplateInterpreter {
  /// The largest width or precision of a field.
  static var formatLimit: Int { 1_000 }

  /// Writes a value in a field.
  mutating func format(
    _ value: TemplateValue, _ field: TemplateFormatField, line: Int
  ) throws(ChatTemplateError) -> TemplateText {
    guard field.width <= Self.formatLimit, field.precision ?? 0 <= Self.formatLimit else {
      throw .evaluation(line: line, problem: "a field is wider than any real one")
    }
    // A number has at most 400 digits before the point.
    try budget.take(text: 512 + field.width + (field.precision ?? 0), line: line)
    switch field.letter {
    case "s", "r", "a":
      var text =
        try field.letter == "s"
        ? self.text(of: value, line: line) : representation(of: value, line: line)
      if let precision = field.precision {
        try budget.take(text: text.cost, line: line)
        text = text.scalarSlice(0..<precision)
      }
      return try padded(text, field, usual: "<", line: line)
    case "c":
      if case .text(let text) = value { return try padded(text, field, usual: "<", line: line) }
      guard let number = integer(value),
        let scalar = UInt32(exactly: number).flatMap(Unicode.Scalar.init)
      else { throw .evaluation(line: line, problem: "\(value.kindName) is no character") }
      // The number may come from a message.
      return try padded(
        TemplateText(String(scalar), isContent: true), field, usual: "<", line: line)
    default:
      let (sign, digits) = try numeral(value, field, line: line)
      return try padded(number: digits, sign: sign, field, line: line)
    }
  }

  private func numeral(
    _ value: TemplateValue, _ field: TemplateFormatField, line: Int
  ) throws(ChatTemplateError) -> (sign: String, digits: String) {
    guard let number = number(value) else {
      throw .evaluation(line: line, problem: "\(value.kindName) is formatted as a number")
    }
    var digits: String
    var isNegative = number < 0 || (number == 0 && number.sign == .minus)
    switch field.letter {
    case "d", "i", "u", "x", "X", "o", "b":
      guard let whole = integer(value) ?? Int(exactly: number.rounded(.towardZero)) else {
        throw .evaluation(line: line, problem: "a number does not fit 64 bits")
      }
      isNegative = whole < 0
      let radix = ["x": 16, "X": 16, "o": 8, "b": 2][field.letter] ?? 10
      digits = String(whole.magnitude, radix: radix, uppercase: field.letter == "X")
      if let precision = field.precision, precision > digits.utf8.count {
        digits = String(repeating: "0", count: precision - digits.utf8.count) + digits
      }
      if field.isAlternate, radix != 10 { digits = "0\(field.letter)" + digits }
    case "e", "E", "f", "F", "g", "G", "%":
      let scaled = field.letter == "%" ? number * 100 : number
      let kind: Character = field.letter == "%" ? "f" : Character(field.letter.lowercased())
      digits = formattedNumber(
        scaled.magnitude, kind, precision: field.precision ?? 6, alternate: field.isAlternate)
      if field.letter == "%" { digits += "%" }
      if field.letter.isUppercase { digits = digits.uppercased() }
    default:
      throw .unsupported(line: line, construct: "the format '\(field.letter)'")
    }
    if field.hasCommas { digits = Self.grouped(digits) }
    let plus = field.sign == "+" ? "+" : field.sign == " " ? " " : ""
    return (isNegative ? "-" : plus, digits)
  }

  /// The digits before the point in groups of three.
  private static func grouped(_ digits: String) -> String {
    let whole = digits.prefix { $0.isNumber }
    var groups = ""
    for (index, digit) in whole.enumerated() {
      if index > 0, (whole.count - index) % 3 == 0 { groups.append(",") }
      groups.append(digit)
    }
    return groups + digits.dropFirst(whole.count)
  }

  private mutating func padded(
    number digits: String, sign: String, _ field: TemplateFormatField, line: Int
  ) throws(ChatTemplateError) -> TemplateText {
    guard field.alignment == "=" else {
      return try padded(
        TemplateText(sign + digits, isContent: field.isContent), field, usual: ">", line: line)
    }
    let missing = max(0, field.width - sign.utf8.count - digits.utf8.count)
    let fill = String(String.UnicodeScalarView(repeatElement(field.fill, count: missing)))
    return TemplateText(sign + fill + digits, isContent: field.isContent)
  }

  private mutating func padded(
    _ text: TemplateText, _ field: TemplateFormatField, usual: Character, line: Int
  ) throws(ChatTemplateError) -> TemplateText {
    try padded(
      text, width: field.width,
      fill: TemplateText(String(field.fill), isContent: field.isContent),
      alignment: field.alignment ?? usual, line: line)
  }

  /// A text with `fill` around it up to a width in code points.
  mutating func padded(
    _ text: TemplateText, width: Int, fill: TemplateText, alignment: Character, line: Int
  ) throws(ChatTemplateError) -> TemplateText {
    try budget.take(text: text.cost, line: line)
    let count = text.scalarCount
    guard width > count else { return text }
    let missing = width - count
    let (bytes, overflow) = fill.cost.multipliedReportingOverflow(by: missing)
    try budget.take(text: overflow ? .max : bytes, line: line)
    // Python's `str.center` puts the odd one on the left when the width is odd.
    let left =
      switch alignment {
      case "<": 0
      case ">": missing
      case "^": missing / 2
      default: missing / 2 + (missing & width & 1)
      }
    return TemplateText().joining([fill.repeated(left), text, fill.repeated(missing - left)])
  }
}
