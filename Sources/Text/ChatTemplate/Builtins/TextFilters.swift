internal import DuetSystem

/// The filters that make a string of any value.
enum TextFilters {
  static let table: [String: TemplateFilters.Filter] = [
    "capitalize": mapped { $0.capitalized() }, "center": center, "e": escape, "escape": escape,
    "forceescape": forceEscape, "format": format, "indent": indent,
    "lower": mapped { $0.lowercased() }, "replace": replace, "safe": safe, "string": string,
    "title": mapped { $0.titledByWords() }, "trim": trim, "truncate": truncate,
    "upper": mapped { $0.uppercased() }, "wordcount": wordCount,
  ]

  /// A filter that maps each code point, which looks it up in tables.
  private static func mapped(
    _ mapping: @escaping @Sendable (TemplateText) -> TemplateText
  ) -> TemplateFilters.Filter {
    { (run, value, call) throws(ChatTemplateError) in
      _ = try call.bound()
      let text = try run.text(of: value, line: call.line)
      try run.budget.take(text: text.cost, weight: 64, line: call.line)
      return .text(mapping(text))
    }
  }

  private static func string(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    _ = try call.bound()
    return .text(try run.text(of: value, line: call.line))
  }

  private static func trim(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let text = try run.text(of: value, line: call.line)
    try run.budget.take(text: text.cost, line: call.line)
    return .text(try run.stripped(text, call))
  }

  private static func replace(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let arguments = try call.bound(["old", "new", "count"], required: 2)
    let text = try run.text(of: value, line: call.line)
    try run.budget.take(text: text.cost, line: call.line)
    var replacing = TemplateCall(callee: call.callee, line: call.line)
    for index in 0..<2 {
      let part = try run.text(of: arguments[index] ?? .none, line: call.line)
      replacing.positional.append(.text(part))
    }
    if arguments.isGiven(2), let count = arguments[2] { replacing.positional.append(count) }
    return .text(try run.replaced(text, replacing))
  }

  private static func format(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let text = try run.text(of: value, line: call.line)
    guard call.named.isEmpty else {
      guard call.positional.isEmpty else {
        throw .evaluation(
          line: call.line, problem: "\(call.callee) is given arguments with names and without")
      }
      let map = TemplateMap(call.named.map { (TemplateText($0.name), $0.value) })
      return .text(try run.formatted(text, with: .map(map), line: call.line))
    }
    let arguments = try run.list(call.positional, kind: .tuple, line: call.line)
    return .text(try run.formatted(text, with: .list(arguments), line: call.line))
  }

  private static func center(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let width = try call.bound(["width"]).int(0, or: 80)
    return .text(
      try run.padded(
        try run.text(of: value, line: call.line), width: width, fill: TemplateText(" "),
        alignment: "c", line: call.line))
  }

  /// The text of a value for the filters that take only strings.
  private static func text(
    _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateText {
    guard case .text(let text) = value else {
      throw .evaluation(line: call.line, problem: "\(call.callee) is given \(value.kindName)")
    }
    return text
  }

  private static func indent(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let line = call.line
    let arguments = try call.bound(["width", "first", "blank"])
    var indentation = TemplateText(String(repeating: " ", count: 4))
    if case .text(let text) = arguments[0] {
      indentation = text
    } else {
      let width = try arguments.int(0, or: 4)
      guard width <= TemplateInterpreter.formatLimit else {
        throw .evaluation(line: line, problem: "an indentation is wider than any real one")
      }
      indentation = TemplateText(String(repeating: " ", count: max(0, width)))
    }
    // As in Jinja, a line break is added first, so that one at the end is kept.
    var text = try Self.text(value, call)
    try run.budget.take(text: text.cost, weight: 16, line: line)
    let lineBreak = TemplateText("\n")
    text.append(lineBreak)
    guard let lines = text.lines(keepsEnds: false, limit: run.budget.steps) else {
      throw .tooManySteps(line: line, limit: TemplateBudget.stepLimit)
    }
    try run.budget.take(steps: lines.count, line: line)
    try run.budget.take(text: (indentation.cost + 1) * lines.count, line: line)
    let indentsBlank = arguments.flag(2)
    var result = TemplateText()
    for (index, piece) in lines.enumerated() {
      if index > 0 { result.append(lineBreak) }
      let isIndented = index == 0 ? arguments.flag(1) : indentsBlank || !piece.isEmpty
      if isIndented { result.append(indentation) }
      result.append(piece)
    }
    return .text(result)
  }

  private static func truncate(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let line = call.line
    let arguments = try call.bound(["length", "killwords", "end", "leeway"])
    let text = try Self.text(value, call)
    try run.budget.take(text: text.cost, weight: 4, line: line)
    let length = try arguments.int(0, or: 255)
    let leeway = arguments.isGiven(3) ? try arguments.int(3) : 5
    let end = arguments[2] == nil ? TemplateText("...") : try arguments.text(2)
    guard length >= end.scalarCount, leeway >= 0 else {
      throw .evaluation(line: line, problem: "\(call.callee) is given too small a length")
    }
    guard text.scalarCount - leeway > length else { return .text(text) }
    var kept = text.scalarSlice(0..<length - end.scalarCount)
    if !arguments.flag(1),
      let cut = kept.splitFromEnd(at: TemplateText(" "), cuts: 1, limit: 2)
    {
      kept = cut[0]
    }
    try run.budget.take(text: end.cost, line: line)
    kept.append(end)
    return .text(kept)
  }

  private static func wordCount(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    _ = try call.bound()
    let text = try run.text(of: value, line: call.line)
    try run.budget.take(text: text.cost, weight: 64, line: call.line)
    var count = 0
    var insideWord = false
    for scalar in text.string.unicodeScalars {
      let properties = scalar.properties
      let isWord =
        scalar == "_" || properties.numericType != nil
        || [.uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter]
          .contains(properties.generalCategory)
      if isWord, !insideWord { count += 1 }
      insideWord = isWord
    }
    return .int(count)
  }

  // MARK: - Markup

  private static func safe(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    _ = try call.bound()
    var text = try run.text(of: value, line: call.line)
    text.isMarkup = true
    return .text(text)
  }

  private static func escape(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    _ = try call.bound()
    let text = try run.text(of: value, line: call.line)
    return .text(text.isMarkup ? text : try run.escaped(text, line: call.line))
  }

  private static func forceEscape(
    _ run: inout TemplateInterpreter, _ value: TemplateValue, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    _ = try call.bound()
    return .text(try run.escaped(try run.text(of: value, line: call.line), line: call.line))
  }
}

extension TemplateInterpreter {
  /// The text with the five characters of HTML as entities; markup.
  mutating func escaped(
    _ text: TemplateText, line: Int
  ) throws(ChatTemplateError) -> TemplateText {
    try budget.take(text: text.cost, weight: 8, line: line)
    let entities: [UInt8: String] = [
      UInt8(ascii: "&"): "&amp;", UInt8(ascii: "<"): "&lt;", UInt8(ascii: ">"): "&gt;",
      UInt8(ascii: "'"): "&#39;", UInt8(ascii: "\""): "&#34;",
    ]
    var result = TemplateText()
    var start = 0
    for position in text.bytes.indices {
      guard let entity = entities[text.bytes[position]] else { continue }
      result.append(text.slice(start..<position))
      result.append(entity.utf8, isContent: text.isContent(at: position))
      start = position + 1
    }
    result.append(text.slice(start..<text.bytes.count))
    result.isMarkup = true
    return result
  }
}
