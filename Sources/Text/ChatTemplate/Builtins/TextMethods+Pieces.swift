internal import DuetSystem

/// The methods of strings that cut, join and fill.
extension TextMethods {
  static func split(
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

  static func splitLines(
    _ run: inout TemplateInterpreter, _ text: TemplateText, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let arguments = try call.bound(["keepends"])
    try run.budget.take(text: text.cost, weight: 16, line: call.line)
    let lines = text.lines(keepsEnds: arguments.flag(0), limit: run.budget.steps)
    return try run.list(of: lines, line: call.line)
  }

  static func partition(
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

  static func join(
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

  static func pad(
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

  static func zeroFill(
    _ run: inout TemplateInterpreter, _ text: TemplateText, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let width = try call.bound(["width"], required: 1).int(0)
    let hasSign = text.bytes.first == UInt8(ascii: "-") || text.bytes.first == UInt8(ascii: "+")
    let sign = text.slice(0..<(hasSign ? 1 : 0))
    let digits = text.slice(sign.bytes.count..<text.bytes.count)
    let filled = try run.padded(
      digits, width: max(0, width) - (hasSign ? 1 : 0), fill: TemplateText("0"), alignment: ">",
      line: call.line)
    return .text(TemplateText().joining([sign, filled]))
  }

  static func expandTabs(
    _ run: inout TemplateInterpreter, _ text: TemplateText, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateValue {
    let size = try call.bound(["tabsize"]).int(0, or: 8)
    guard size <= TemplateInterpreter.formatLimit else {
      throw .evaluation(line: call.line, problem: "a tabulator is wider than any real one")
    }
    try run.budget.take(steps: text.scalarCount, line: call.line)
    var result = TemplateText()
    var column = 0
    for scalar in text.scalars {
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
