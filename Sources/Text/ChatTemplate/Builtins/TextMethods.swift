internal import DuetSystem

/// The methods of Python's strings.
enum TextMethods {
  typealias Method = TemplateMethods.TextMethod

  static let table: [String: Method] = [
    "capitalize": mapped { $0.capitalized() }, "casefold": casefold,
    "center": { (run, text, call) throws(ChatTemplateError) in
      try pad(&run, text, call, alignment: "c")
    },
    "count": count,
    "endswith": { (run, text, call) throws(ChatTemplateError) in
      try hasAffix(&run, text, call) { text, part in text.suffix(part.count).elementsEqual(part) }
    },
    "expandtabs": expandTabs,
    "find": { (run, text, call) throws(ChatTemplateError) in
      try find(&run, text, call, fromEnd: false) ?? .int(-1)
    },
    "format": { (run, text, call) throws(ChatTemplateError) in
      .text(try run.formatted(text, call))
    },
    "index": { (run, text, call) throws(ChatTemplateError) in
      try found(try find(&run, text, call, fromEnd: false), call)
    },
    "isalnum": all { isLetter($0) || isNumeric($0) }, "isalpha": all(isLetter),
    "isascii": { (_, text, call) throws(ChatTemplateError) in
      _ = try call.bound()
      return .bool(text.bytes.allSatisfy { $0 < 0x80 })
    },
    "isdecimal": all { $0.properties.generalCategory == .decimalNumber }, "isdigit": all(isDigit),
    "islower": hasCase { $0.properties.isLowercase }, "isnumeric": all(isNumeric),
    "isspace": all(TemplateText.isWhitespace),
    "istitle": isTitle, "isupper": hasCase { $0.properties.isUppercase },
    "join": join,
    "ljust": { (run, text, call) throws(ChatTemplateError) in
      try pad(&run, text, call, alignment: "<")
    },
    "lower": mapped { $0.lowercased() },
    "lstrip": { (run, text, call) throws(ChatTemplateError) in
      .text(try run.stripped(text, call, end: false))
    },
    "partition": { (run, text, call) throws(ChatTemplateError) in
      try partition(&run, text, call, fromEnd: false)
    },
    "removeprefix": { (_, text, call) throws(ChatTemplateError) in
      let part = try call.bound(["prefix"], required: 1).text(0)
      let isThere = text.bytes.starts(with: part.bytes)
      return .text(isThere ? text.slice(part.bytes.count..<text.bytes.count) : text)
    },
    "removesuffix": { (_, text, call) throws(ChatTemplateError) in
      let part = try call.bound(["suffix"], required: 1).text(0)
      let isThere = text.bytes.suffix(part.bytes.count).elementsEqual(part.bytes)
      return .text(isThere ? text.slice(0..<text.bytes.count - part.bytes.count) : text)
    },
    "replace": { (run, text, call) throws(ChatTemplateError) in
      .text(try run.replaced(text, call))
    },
    "rfind": { (run, text, call) throws(ChatTemplateError) in
      try find(&run, text, call, fromEnd: true) ?? .int(-1)
    },
    "rindex": { (run, text, call) throws(ChatTemplateError) in
      try found(try find(&run, text, call, fromEnd: true), call)
    },
    "rjust": { (run, text, call) throws(ChatTemplateError) in
      try pad(&run, text, call, alignment: ">")
    },
    "rpartition": { (run, text, call) throws(ChatTemplateError) in
      try partition(&run, text, call, fromEnd: true)
    },
    "rsplit": { (run, text, call) throws(ChatTemplateError) in
      try split(&run, text, call, fromEnd: true)
    },
    "rstrip": { (run, text, call) throws(ChatTemplateError) in
      .text(try run.stripped(text, call, start: false))
    },
    "split": { (run, text, call) throws(ChatTemplateError) in
      try split(&run, text, call, fromEnd: false)
    },
    "splitlines": splitLines,
    "startswith": { (run, text, call) throws(ChatTemplateError) in
      try hasAffix(&run, text, call) { text, part in text.starts(with: part) }
    },
    "strip": { (run, text, call) throws(ChatTemplateError) in
      .text(try run.stripped(text, call))
    },
    "swapcase": mapped { $0.swappingCase() }, "title": mapped { $0.titled() },
    "upper": mapped { $0.uppercased() }, "zfill": zeroFill,
  ]

  // MARK: - Case

  /// A method that maps each code point, which looks it up in tables.
  private static func mapped(
    _ mapping: @escaping @Sendable (TemplateText) -> TemplateText
  ) -> Method {
    { (run, text, call) throws(ChatTemplateError) in
      _ = try call.bound()
      try run.budget.take(text: text.cost, weight: 64, line: call.line)
      return .text(mapping(text))
    }
  }

  private static func casefold(
    _ run: inout TemplateInterpreter, _ text: TemplateText, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    // Outside ASCII it differs from lower case, and templates have no need for it.
    guard text.bytes.allSatisfy({ $0 < 0x80 }) else {
      throw .unsupported(line: call.line, construct: "\(call.callee) of letters beyond ASCII")
    }
    return try mapped { $0.lowercased() }(&run, text, call)
  }

  // MARK: - Kinds of characters

  private static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
    default: false
    }
  }

  private static func isDigit(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.numericType == .decimal || scalar.properties.numericType == .digit
  }

  private static func isNumeric(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.numericType != nil
  }

  /// A method that is true when there are characters and all are of a kind.
  private static func all(_ holds: @escaping @Sendable (Unicode.Scalar) -> Bool) -> Method {
    { (run, text, call) throws(ChatTemplateError) in
      _ = try call.bound()
      try run.budget.take(text: text.cost, weight: 16, line: call.line)
      return .bool(!text.isEmpty && text.string.unicodeScalars.allSatisfy(holds))
    }
  }

  /// A method that is true when there are letters with a case and all are of one case.
  private static func hasCase(_ holds: @escaping @Sendable (Unicode.Scalar) -> Bool) -> Method {
    { (run, text, call) throws(ChatTemplateError) in
      _ = try call.bound()
      try run.budget.take(text: text.cost, weight: 16, line: call.line)
      let letters = text.string.unicodeScalars.filter(\.properties.isCased)
      return .bool(!letters.isEmpty && letters.allSatisfy(holds))
    }
  }

  private static func isTitle(
    _ run: inout TemplateInterpreter, _ text: TemplateText, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    _ = try call.bound()
    try run.budget.take(text: text.cost, weight: 16, line: call.line)
    var hasLetter = false
    var insideWord = false
    for scalar in text.string.unicodeScalars {
      guard scalar.properties.isCased else {
        insideWord = false
        continue
      }
      guard scalar.properties.isLowercase == insideWord else { return .bool(false) }
      hasLetter = true
      insideWord = true
    }
    return .bool(hasLetter)
  }
}
