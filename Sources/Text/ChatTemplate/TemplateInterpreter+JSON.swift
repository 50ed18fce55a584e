internal import DuetSystem

/// The filter `tojson`, with the settings of Hugging Face: no escapes beyond what JSON requires.
extension TemplateInterpreter {
  /// The largest `indent`, in blanks per level.
  private static var indentLimit: Int { 16 }

  mutating func json(
    of value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateText {
    try call.check(most: 0, names: ["indent", "ensure_ascii"])
    if let flag = call.named("ensure_ascii"), flag.isTrue {
      throw .unsupported(line: call.line, construct: "\(call.callee) with ensure_ascii")
    }
    var indent: Int?
    switch call.named("indent") {
    case nil, .some(.none): break
    case .int(let width) where (0...Self.indentLimit).contains(width): indent = width
    default:
      throw .unsupported(line: call.line, construct: "\(call.callee) with this indent")
    }
    var result = TemplateText()
    try appendJSON(value, to: &result, indent: indent, level: 0, line: call.line)
    return result
  }

  private mutating func appendJSON(
    _ value: TemplateValue, to result: inout TemplateText, indent: Int?, level: Int, line: Int
  ) throws(ChatTemplateError) {
    try budget.take(steps: 1, line: line)
    switch value {
    case .none: result.append("null".utf8, isContent: false)
    case .bool(let flag): result.append((flag ? "true" : "false").utf8, isContent: false)
    case .int(let number): result.append(String(number).utf8, isContent: false)
    case .text(let text):
      try appendJSON(text, to: &result, line: line)
    case .list(let list):
      try appendJSON("[", "]", count: list.elements.count, to: &result, indent, level, line) {
        (self, result, index) throws(ChatTemplateError) in
        try self.appendJSON(
          list.elements[index], to: &result, indent: indent, level: level + 1, line: line)
      }
    case .map(let map):
      try appendJSON("{", "}", count: map.entries.count, to: &result, indent, level, line) {
        (self, result, index) throws(ChatTemplateError) in
        try self.appendJSON(map.entries[index].key, to: &result, line: line)
        result.append(": ".utf8, isContent: false)
        try self.appendJSON(
          map.entries[index].value, to: &result, indent: indent, level: level + 1, line: line)
      }
    default:
      throw .evaluation(line: line, problem: "\(value.kindName) cannot be written as JSON")
    }
  }

  /// Appends the parts of a list or a mapping between its brackets.
  private mutating func appendJSON(
    _ open: String, _ close: String, count: Int, to result: inout TemplateText,
    _ indent: Int?, _ level: Int, _ line: Int,
    appendPart: (inout Self, inout TemplateText, Int) throws(ChatTemplateError) -> Void
  ) throws(ChatTemplateError) {
    func lineBreak(_ level: Int) -> String {
      indent.map { "\n" + String(repeating: " ", count: $0 * level) } ?? ""
    }
    result.append(open.utf8, isContent: false)
    for index in 0..<count {
      let separator = index == 0 ? "" : indent == nil ? ", " : ","
      result.append((separator + lineBreak(level + 1)).utf8, isContent: false)
      try budget.take(text: (indent ?? 0) * level, line: line)
      try appendPart(&self, &result, index)
    }
    result.append(((count == 0 ? "" : lineBreak(level)) + close).utf8, isContent: false)
  }

  private mutating func appendJSON(
    _ text: TemplateText, to result: inout TemplateText, line: Int
  ) throws(ChatTemplateError) {
    // A control character becomes six characters, and each byte is looked at by itself.
    try budget.take(text: text.cost, weight: 32, line: line)
    result.append("\"".utf8, isContent: false)
    var start = 0
    for position in text.bytes.indices {
      guard let escape = Self.escape(text.bytes[position]) else { continue }
      if start < position { result.append(text.slice(start..<position)) }
      result.append(escape.utf8, isContent: text.isContent(at: position))
      start = position + 1
    }
    result.append(text.slice(start..<text.bytes.count))
    result.append("\"".utf8, isContent: false)
  }

  /// The escape sequence of a character that JSON must escape, or nil for all others.
  private static func escape(_ byte: UInt8) -> String? {
    switch byte {
    case UInt8(ascii: "\""): return "\\\""
    case UInt8(ascii: "\\"): return "\\\\"
    case 0x08: return "\\b"
    case 0x09: return "\\t"
    case 0x0A: return "\\n"
    case 0x0C: return "\\f"
    case 0x0D: return "\\r"
    case 0x00..<0x20: return (byte < 0x10 ? "\\u000" : "\\u00") + String(byte, radix: 16)
    default: return nil
    }
  }
}
