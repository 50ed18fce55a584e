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
    "endswith": { (_, text, call) throws(ChatTemplateError) in
      try hasAffix(text, call) { text, part in text.suffix(part.count).elementsEqual(part) }
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
    "startswith": { (_, text, call) throws(ChatTemplateError) in
      try hasAffix(text, call) { text, part in text.starts(with: part) }
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

  // MARK: - Searching

  /// Whether one of the strings given is at an end of a text.
  private static func hasAffix(
    _ text: TemplateText, _ call: TemplateCall, _ isThere: ([UInt8], [UInt8]) -> Bool
  ) throws(ChatTemplateError) -> TemplateValue {
    let arguments = try call.bound(["affix", "start", "end"], required: 1)
    guard !arguments.isGiven(1), !arguments.isGiven(2) else {
      throw .unsupported(line: call.line, construct: "\(call.callee) of a part of a string")
    }
    guard case .list(let list) = arguments[0], list.kind == .tuple else {
      return .bool(isThere(text.bytes, try arguments.text(0).bytes))
    }
    for element in list.elements {
      guard case .text(let part) = element else {
        throw .evaluation(line: call.line, problem: "\(call.callee) is given \(element.kindName)")
      }
      if isThere(text.bytes, part.bytes) { return .bool(true) }
    }
    return .bool(false)
  }

  /// The part of a text between the arguments `start` and `end`, and the number where it begins.
  private static func window(
    _ text: TemplateText, _ arguments: TemplateBoundArguments
  ) throws(ChatTemplateError) -> (text: TemplateText, start: Int)? {
    guard arguments.isGiven(1) || arguments.isGiven(2) else { return (text, 0) }
    let count = text.scalarCount
    func bound(_ index: Int, _ initial: Int) throws(ChatTemplateError) -> Int {
      guard arguments.isGiven(index) else { return initial }
      let bound = try arguments.int(index)
      return max(0, bound < 0 ? bound + count : bound)
    }
    let start = try bound(1, 0)
    let end = min(count, try bound(2, count))
    guard start <= end else { return nil }
    return (text.scalarSlice(start..<end), start)
  }

  /// The position of a part, counted in code points, or nil.
  private static func find(
    _ run: inout TemplateInterpreter, _ text: TemplateText, _ call: TemplateCall, fromEnd: Bool
  ) throws(ChatTemplateError) -> TemplateValue? {
    let arguments = try call.bound(["sub", "start", "end"], required: 1)
    let part = try arguments.text(0)
    try run.budget.take(text: text.cost, weight: 4, line: call.line)
    try run.budget.take(text: part.cost, weight: 4, line: call.line)
    guard let (window, start) = try window(text, arguments) else { return nil }
    guard !part.isEmpty else { return .int(start + (fromEnd ? window.scalarCount : 0)) }
    guard part.bytes.count <= window.bytes.count else { return nil }
    let position: Int?
    if fromEnd {
      let reversed = BytePattern(part.bytes.reversed())
      position = reversed.firstMatch(in: window.bytes.reversed(), from: 0).map {
        window.bytes.count - $0 - part.bytes.count
      }
    } else {
      position = BytePattern(part.bytes).firstMatch(in: window.bytes, from: 0)
    }
    return position.map { .int(start + window.slice(0..<$0).scalarCount) }
  }

  private static func found(
    _ position: TemplateValue?, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    guard let position else {
      throw .evaluation(line: call.line, problem: "\(call.callee) does not find the string")
    }
    return position
  }

  private static func count(
    _ run: inout TemplateInterpreter, _ text: TemplateText, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let arguments = try call.bound(["sub", "start", "end"], required: 1)
    let part = try arguments.text(0)
    try run.budget.take(text: text.cost, weight: 16, line: call.line)
    try run.budget.take(text: part.cost, weight: 4, line: call.line)
    guard let (window, _) = try window(text, arguments) else { return .int(0) }
    guard !part.isEmpty else { return .int(window.scalarCount + 1) }
    guard part.bytes.count <= window.bytes.count else { return .int(0) }
    return .int(window.positions(of: part).count)
  }

  // MARK: - Cutting

  private static func split(
    _ run: inout TemplateInterpreter, _ text: TemplateText, _ call: TemplateCall, fromEnd: Bool
  ) throws(ChatTemplateError) -> TemplateValue {
    let arguments = try call.bound(["sep", "maxsplit"])
    let wanted = try arguments.int(1, or: -1)
    let cuts = wanted < 0 ? nil : wanted
    let limit = run.budget.steps
    let pieces: [TemplateText]?
    if arguments.isGiven(0) {
      let separator = try arguments.text(0)
      guard !separator.isEmpty else {
        throw .evaluation(line: call.line, problem: "\(call.callee) needs a separator")
      }
      try run.budget.take(text: separator.cost, line: call.line)
      pieces =
        fromEnd
        ? text.splitFromEnd(at: separator, cuts: cuts ?? .max, limit: limit)
        : text.split(at: separator, cuts: cuts, limit: limit)
    } else {
      try run.budget.take(text: text.cost, weight: 4, line: call.line)
      pieces =
        fromEnd
        ? text.splitAtWhitespaceFromEnd(cuts: cuts ?? .max, limit: limit)
        : text.splitAtWhitespace(cuts: cuts, limit: limit)
    }
    return try run.list(of: pieces, line: call.line)
  }

  private static func splitLines(
    _ run: inout TemplateInterpreter, _ text: TemplateText, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let arguments = try call.bound(["keepends"])
    try run.budget.take(text: text.cost, weight: 4, line: call.line)
    let lines = text.lines(keepsEnds: arguments.flag(0), limit: run.budget.steps)
    return try run.list(of: lines, line: call.line)
  }

  private static func partition(
    _ run: inout TemplateInterpreter, _ text: TemplateText, _ call: TemplateCall, fromEnd: Bool
  ) throws(ChatTemplateError) -> TemplateValue {
    let separator = try call.bound(["sep"], required: 1).text(0)
    guard !separator.isEmpty else {
      throw .evaluation(line: call.line, problem: "\(call.callee) needs a separator")
    }
    try run.budget.take(text: separator.cost, line: call.line)
    let cut =
      fromEnd
      ? text.splitFromEnd(at: separator, cuts: 1, limit: 3)
      : text.split(at: separator, cuts: 1, limit: 3)
    let pieces = cut ?? [text]
    let parts: [TemplateText]
    if pieces.count > 1 {
      let start = pieces[0].bytes.count
      parts = [pieces[0], text.slice(start..<start + separator.bytes.count), pieces[1]]
    } else {
      parts =
        fromEnd ? [TemplateText(), TemplateText(), text] : [text, TemplateText(), TemplateText()]
    }
    return .list(try run.list(parts.map { .text($0) }, kind: .tuple, line: call.line))
  }

  private static func join(
    _ run: inout TemplateInterpreter, _ text: TemplateText, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let argument = try call.bound(["iterable"], required: 1)
    let elements = try run.elements(of: argument[0] ?? .none, line: call.line)
    for element in elements {
      guard case .text = element else {
        throw .evaluation(line: call.line, problem: "\(call.callee) is given \(element.kindName)")
      }
    }
    return .text(try run.joined(elements, with: text, line: call.line))
  }

  // MARK: - Filling

  private static func pad(
    _ run: inout TemplateInterpreter, _ text: TemplateText, _ call: TemplateCall,
    alignment: Character
  ) throws(ChatTemplateError) -> TemplateValue {
    let arguments = try call.bound(["width", "fillchar"], required: 1)
    let fill = arguments[1] == nil ? TemplateText(" ") : try arguments.text(1)
    guard fill.scalarCount == 1 else {
      throw .evaluation(line: call.line, problem: "\(call.callee) fills with one character")
    }
    return .text(
      try run.padded(
        text, width: try arguments.int(0), fill: fill, alignment: alignment, line: call.line))
  }

  private static func zeroFill(
    _ run: inout TemplateInterpreter, _ text: TemplateText, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let width = try call.bound(["width"], required: 1).int(0)
    let hasSign = text.bytes.first == UInt8(ascii: "-") || text.bytes.first == UInt8(ascii: "+")
    let sign = text.slice(0..<(hasSign ? 1 : 0))
    let digits = text.slice(sign.bytes.count..<text.bytes.count)
    let filled = try run.padded(
      digits, width: width - (hasSign ? 1 : 0), fill: TemplateText("0"), alignment: ">",
      line: call.line)
    return .text(TemplateText().joining([sign, filled]))
  }

  private static func expandTabs(
    _ run: inout TemplateInterpreter, _ text: TemplateText, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let size = try call.bound(["tabsize"]).int(0, or: 8)
    guard size <= TemplateInterpreter.formatLimit else {
      throw .evaluation(line: call.line, problem: "a tabulator is wider than any real one")
    }
    var result = TemplateText()
    var column = 0
    for scalar in text.scalars {
      try run.budget.take(steps: 1, line: call.line)
      if scalar.bytes == [UInt8(ascii: "\t")] {
        let width = size > 0 ? size - column % size : 0
        try run.budget.take(text: width, line: call.line)
        result.append(
          repeatElement(UInt8(ascii: " "), count: width), isContent: scalar.isContent(at: 0))
        column += width
      } else {
        result.append(scalar)
        let isLineEnd = scalar.bytes == [0x0A] || scalar.bytes == [0x0D]
        column = isLineEnd ? 0 : column + 1
      }
    }
    return .text(result)
  }
}

extension TemplateInterpreter {
  /// A list of pieces, or an error when there are more than steps are left.
  fileprivate mutating func list(
    of pieces: [TemplateText]?, line: Int
  ) throws(ChatTemplateError) -> TemplateValue {
    guard let pieces else { throw .tooManySteps(line: line, limit: TemplateBudget.stepLimit) }
    try budget.take(steps: pieces.count, line: line)
    return .list(try list(pieces.map { .text($0) }, line: line))
  }

  mutating func stripped(
    _ text: TemplateText, _ call: TemplateCall, start: Bool = true, end: Bool = true
  ) throws(ChatTemplateError) -> TemplateText {
    let arguments = try call.bound(["chars"])
    guard arguments.isGiven(0) else { return text.stripped(start: start, end: end) }
    let set = try arguments.text(0)
    // Each code point is looked up in a set.
    try budget.take(text: text.cost + set.cost, weight: 16, line: call.line)
    return text.stripped(of: set, start: start, end: end)
  }

  /// The text with `new` in the place of `old`, at most `count` times.
  mutating func replaced(
    _ text: TemplateText, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateText {
    let arguments = try call.bound(["old", "new", "count"], required: 2)
    let old = try arguments.text(0)
    let new = try arguments.text(1)
    let wanted = arguments.isGiven(2) ? try arguments.int(2) : -1
    let cuts = wanted < 0 ? nil : wanted
    try budget.take(text: old.cost, line: call.line)
    let pieces: [TemplateText]
    if old.isEmpty {
      // Python then puts `new` before every character and at the end.
      try budget.take(steps: text.bytes.count, line: call.line)
      let scalars = [TemplateText()] + text.scalars + [TemplateText()]
      let kept = min(cuts ?? .max, scalars.count - 1)
      pieces = scalars[..<kept] + [TemplateText().joining(Array(scalars[kept...]))]
    } else {
      guard let cut = text.split(at: old, cuts: cuts, limit: budget.steps) else {
        throw .tooManySteps(line: call.line, limit: TemplateBudget.stepLimit)
      }
      pieces = cut
    }
    try budget.take(steps: pieces.count, line: call.line)
    // At most 10^6 pieces times 2^27 bytes, which fits an Int.
    try budget.take(text: (pieces.count - 1) * new.cost, line: call.line)
    var result = new.joining(pieces)
    result.isMarkup = text.isMarkup
    return result
  }

  /// The texts of values with a separator between each two.
  mutating func joined(
    _ values: [TemplateValue], with separator: TemplateText, line: Int
  ) throws(ChatTemplateError) -> TemplateText {
    var pieces: [TemplateText] = []
    for value in values {
      let piece = try text(of: value, line: line)
      try budget.take(steps: 1, line: line)
      try budget.take(text: piece.cost, line: line)
      if !pieces.isEmpty { try budget.take(text: separator.cost, line: line) }
      pieces.append(piece)
    }
    return separator.joining(pieces)
  }
}
