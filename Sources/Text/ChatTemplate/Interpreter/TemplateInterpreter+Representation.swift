internal import DuetSystem

/// Values as Python's `str` and `repr` write them.
extension TemplateInterpreter {
  /// `str` of a value, which for strings differs from `repr`.
  mutating func representation(
    of value: TemplateValue, line: Int
  ) throws(ChatTemplateError) -> TemplateText {
    var result = TemplateText()
    try appendRepresentation(of: value, to: &result, line: line)
    return result
  }

  private mutating func appendRepresentation(
    of value: TemplateValue, to result: inout TemplateText, line: Int
  ) throws(ChatTemplateError) {
    try budget.take(steps: 1, line: line)
    func append(_ text: String) { result.append(text.utf8, isContent: false) }
    switch value {
    case .undefined: append("Undefined")
    case .none: append("None")
    case .bool(let flag): append(flag ? "True" : "False")
    case .int(let number): append(String(number))
    case .double(let number): append(PythonNumber.text(number))
    case .text(let text): try appendQuoted(text, to: &result, line: line)
    case .list(let list) where list.kind == .list || list.kind == .tuple || list.kind == .group:
      append(list.kind == .list ? "[" : "(")
      for (index, element) in list.elements.enumerated() {
        if index > 0 { append(", ") }
        try appendRepresentation(of: element, to: &result, line: line)
      }
      append(list.kind == .list ? "]" : list.elements.count == 1 ? ",)" : ")")
    case .map(let map):
      append("{")
      for (index, entry) in map.entries.enumerated() {
        if index > 0 { append(", ") }
        try appendRepresentation(of: entry.key, to: &result, line: line)
        append(": ")
        try appendRepresentation(of: entry.value, to: &result, line: line)
      }
      append("}")
    default:
      throw .evaluation(line: line, problem: "\(value.kindName) is used as a string")
    }
  }

  /// Appends a string in quotes, with escapes for what cannot be printed.
  private mutating func appendQuoted(
    _ text: TemplateText, to result: inout TemplateText, line: Int
  ) throws(ChatTemplateError) {
    // An escape has up to ten characters, and each code point is looked up in tables.
    try budget.take(text: text.cost, weight: 64, line: line)
    let single = UInt8(ascii: "'")
    let double = UInt8(ascii: "\"")
    let quote = text.bytes.contains(single) && !text.bytes.contains(double) ? double : single
    result.append([quote], isContent: false)
    var start = 0
    var position = 0
    while position < text.bytes.count {
      let next = text.scalar(at: position)
      if let escape = Self.escape(next.scalar, quote: quote) {
        result.append(text.slice(start..<position))
        result.append(escape.utf8, isContent: text.isContent(at: position))
        start = position + next.width
      }
      position += next.width
    }
    result.append(text.slice(start..<text.bytes.count))
    result.append([quote], isContent: false)
  }

  private static func escape(_ scalar: Unicode.Scalar, quote: UInt8) -> String? {
    switch scalar {
    case "\\": return "\\\\"
    case "\n": return "\\n"
    case "\r": return "\\r"
    case "\t": return "\\t"
    case " ": return nil
    default: break
    }
    if scalar.value == UInt32(quote) { return "\\" + String(scalar) }
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
      .paragraphSeparator, .spaceSeparator:
      let digits = String(scalar.value, radix: 16)
      let (letter, width) =
        scalar.value < 0x100 ? ("x", 2) : scalar.value < 0x10000 ? ("u", 4) : ("U", 8)
      return "\\\(letter)" + String(repeating: "0", count: width - digits.utf8.count) + digits
    default: return nil
    }
  }
}
