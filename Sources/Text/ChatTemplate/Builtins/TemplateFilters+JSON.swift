internal import DuetSystem

/// The filter `tojson`, with the settings of Hugging Face: no escapes beyond what JSON requires.
extension TemplateInterpreter {
  /// The largest `indent`, in characters per level.
  private static var indentLimit: Int { 16 }

  /// How JSON is written.
  private struct JSONStyle {
    var indent: TemplateText?
    var itemSeparator = TemplateText(", ")
    var keySeparator = TemplateText(": ")
    var isASCII = false
    var sortsKeys = false
  }

  mutating func json(
    of value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateText {
    let arguments = try call.bound(["ensure_ascii", "indent", "separators", "sort_keys"])
    var style = JSONStyle(isASCII: arguments.flag(0), sortsKeys: arguments.flag(3))
    if arguments.isGiven(1) {
      if case .text(let text) = arguments[1] {
        style.indent = text
      } else {
        let width = try arguments.int(1)
        guard width <= Self.indentLimit else {
          throw .unsupported(line: call.line, construct: "\(call.callee) with this indent")
        }
        style.indent = TemplateText(String(repeating: " ", count: max(0, width)))
      }
      style.itemSeparator = TemplateText(",")
      guard style.indent?.bytes.count ?? 0 <= Self.indentLimit else {
        throw .unsupported(line: call.line, construct: "\(call.callee) with this indent")
      }
    }
    if arguments.isGiven(2) {
      let parts = try elements(of: arguments[2] ?? .none, line: call.line)
      guard parts.count == 2, case .text(let item) = parts[0], case .text(let key) = parts[1] else {
        throw .evaluation(line: call.line, problem: "\(call.callee) needs two separators")
      }
      (style.itemSeparator, style.keySeparator) = (item, key)
    }
    var result = TemplateText()
    try appendJSON(value, to: &result, style, level: 0, line: call.line)
    return result
  }

  private mutating func appendJSON(
    _ value: TemplateValue, to result: inout TemplateText, _ style: JSONStyle, level: Int, line: Int
  ) throws(ChatTemplateError) {
    try budget.take(steps: 1, line: line)
    switch value {
    case .none: result.append("null".utf8, isContent: false)
    case .bool(let flag): result.append((flag ? "true" : "false").utf8, isContent: false)
    case .int(let number): result.append(String(number).utf8, isContent: false)
    case .double(let number): result.append(Self.json(number).utf8, isContent: false)
    case .text(let text): try appendJSON(text, to: &result, style, line: line)
    case .list(let list) where list.kind == .list || list.kind == .tuple || list.kind == .group:
      result.append("[".utf8, isContent: false)
      for (index, element) in list.elements.enumerated() {
        try appendSeparator(index, to: &result, style, level: level + 1, line: line)
        try appendJSON(element, to: &result, style, level: level + 1, line: line)
      }
      try appendEnd("]", list.elements.count, to: &result, style, level: level, line: line)
    case .map(let map):
      var order = Array(map.entries.indices)
      if style.sortsKeys {
        order = try sortedPositions(of: map.entries.map(\.key), descending: false, line: line)
      }
      result.append("{".utf8, isContent: false)
      for (index, position) in order.enumerated() {
        let entry = map.entries[position]
        try appendSeparator(index, to: &result, style, level: level + 1, line: line)
        try appendJSON(try jsonKey(entry.key, line: line), to: &result, style, line: line)
        try budget.take(text: style.keySeparator.cost, line: line)
        result.append(style.keySeparator)
        try appendJSON(entry.value, to: &result, style, level: level + 1, line: line)
      }
      try appendEnd("}", map.entries.count, to: &result, style, level: level, line: line)
    default:
      throw .evaluation(line: line, problem: "\(value.kindName) cannot be written as JSON")
    }
  }

  private static func json(_ number: Double) -> String {
    if number.isNaN { return "NaN" }
    if number.isInfinite { return number < 0 ? "-Infinity" : "Infinity" }
    return PythonNumber.text(number)
  }

  /// The string that a key becomes.
  private func jsonKey(
    _ key: TemplateValue, line: Int
  ) throws(ChatTemplateError) -> TemplateText {
    switch key {
    case .text(let text): return text
    case .none: return TemplateText("null")
    case .bool(let flag): return TemplateText(flag ? "true" : "false")
    case .int(let number): return TemplateText(String(number))
    case .double(let number): return TemplateText(Self.json(number))
    default:
      throw .evaluation(line: line, problem: "\(key.kindName) cannot be a key in JSON")
    }
  }

  private mutating func appendSeparator(
    _ index: Int, to result: inout TemplateText, _ style: JSONStyle, level: Int, line: Int
  ) throws(ChatTemplateError) {
    if index > 0 {
      try budget.take(text: style.itemSeparator.cost, line: line)
      result.append(style.itemSeparator)
    }
    try appendLineBreak(to: &result, style, level: level, line: line)
  }

  private mutating func appendEnd(
    _ bracket: String, _ count: Int, to result: inout TemplateText, _ style: JSONStyle, level: Int,
    line: Int
  ) throws(ChatTemplateError) {
    if count > 0 { try appendLineBreak(to: &result, style, level: level, line: line) }
    result.append(bracket.utf8, isContent: false)
  }

  private mutating func appendLineBreak(
    to result: inout TemplateText, _ style: JSONStyle, level: Int, line: Int
  ) throws(ChatTemplateError) {
    guard let indent = style.indent else { return }
    try budget.take(text: 1 + indent.cost * level, line: line)
    result.append("\n".utf8, isContent: false)
    for _ in 0..<level { result.append(indent) }
  }

  private mutating func appendJSON(
    _ text: TemplateText, to result: inout TemplateText, _ style: JSONStyle, line: Int
  ) throws(ChatTemplateError) {
    // A control character becomes six characters, and each byte is looked at by itself.
    try budget.take(text: text.cost, weight: 32, line: line)
    result.append("\"".utf8, isContent: false)
    var start = 0
    var position = 0
    while position < text.bytes.count {
      let next = text.scalar(at: position)
      if let escape = Self.escape(next.scalar, isASCII: style.isASCII) {
        if start < position { result.append(text.slice(start..<position)) }
        result.append(escape.utf8, isContent: text.isContent(at: position))
        start = position + next.width
      }
      position += next.width
    }
    result.append(text.slice(start..<text.bytes.count))
    result.append("\"".utf8, isContent: false)
  }

  /// The escape sequence of a character that must be escaped, or nil for all others.
  private static func escape(_ scalar: Unicode.Scalar, isASCII: Bool) -> String? {
    switch scalar {
    case "\"": return "\\\""
    case "\\": return "\\\\"
    case "\u{8}": return "\\b"
    case "\t": return "\\t"
    case "\n": return "\\n"
    case "\u{C}": return "\\f"
    case "\r": return "\\r"
    default:
      guard scalar.value < 0x20 || (isASCII && !scalar.isASCII) else {
        return nil
      }
      return String(scalar).utf16.map { unit in
        let digits = String(unit, radix: 16)
        return "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
      }.joined()
    }
  }
}
