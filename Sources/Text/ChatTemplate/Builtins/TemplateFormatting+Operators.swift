internal import DuetSystem

/// The operator `%` and the method `format`.
extension TemplateInterpreter {
  // MARK: - The operator %

  /// `format % arguments`.
  mutating func formatted(
    _ format: TemplateText, with arguments: TemplateValue, line: Int
  ) throws(ChatTemplateError) -> TemplateText {
    guard !format.isMarkup else {
      throw .unsupported(line: line, construct: "formatting of markup")
    }
    try budget.take(text: format.cost, weight: 2, line: line)
    let hasContent = !format.contentRanges.isEmpty
    var reader = TemplateFormatReader(format)
    var rest: ArraySlice<TemplateValue> = [arguments]
    if case .list(let list) = arguments, list.kind == .tuple { rest = list.elements[...] }
    var map: TemplateMap?
    if case .map(let value) = arguments { map = value }
    var result = TemplateText()
    while let start = reader.next("%") {
      result.append(start)
      var field = TemplateFormatField()
      field.isContent = hasContent
      var value: TemplateValue?
      if reader.consume("("), let name = reader.next(")") {
        guard let map, let found = map[name] else {
          throw .evaluation(line: line, problem: "a format names a value that is not there")
        }
        value = found
      }
      var isLeft = false
      var isZero = false
      while let flag = reader.consume(anyOf: "-+ 0#") {
        switch flag {
        case "-": isLeft = true
        case "0": isZero = true
        case "#": field.isAlternate = true
        default: if field.sign != "+" { field.sign = flag }
        }
      }
      func star() throws(ChatTemplateError) -> Int {
        guard let next = rest.popFirst(), case .int(let width) = next else {
          throw .evaluation(line: line, problem: "'*' in a format needs an integer")
        }
        return max(0, width)
      }
      field.width = reader.consume("*") ? try star() : reader.number() ?? 0
      if reader.consume(".") {
        field.precision = reader.consume("*") ? try star() : reader.number() ?? 0
      }
      _ = reader.consume(anyOf: "hlL")
      guard let letter = reader.scalar() else {
        throw .evaluation(line: line, problem: "a format is not complete")
      }
      if letter == "%" {
        result.append("%".utf8, isContent: hasContent)
        continue
      }
      field.letter = Character(letter)
      let isText = "srac".contains(field.letter)
      field.alignment = isLeft ? "<" : isZero && !isText ? "=" : ">"
      if isZero, !isLeft, !isText { field.fill = "0" }
      guard let value = value ?? rest.popFirst() else {
        throw .evaluation(line: line, problem: "a format has more fields than there are values")
      }
      if "diu".contains(field.letter), case .text = value {
        throw .evaluation(line: line, problem: "a string is formatted as a number")
      }
      result.append(try self.format(value, field, line: line))
    }
    result.append(reader.rest())
    var hasKeys = map != nil
    if case .list(let list) = arguments, list.kind == .list { hasKeys = true }
    guard rest.isEmpty || hasKeys else {
      throw .evaluation(line: line, problem: "a format has fewer fields than there are values")
    }
    return result
  }

  // MARK: - The method format

  /// `format.format(arguments)`.
  mutating func formatted(
    _ format: TemplateText, _ call: TemplateCall
  ) throws(ChatTemplateError) -> TemplateText {
    let line = call.line
    guard !format.isMarkup else {
      throw .unsupported(line: line, construct: "formatting of markup")
    }
    try budget.take(text: format.cost, weight: 2, line: line)
    let hasContent = !format.contentRanges.isEmpty
    var reader = TemplateFormatReader(format)
    var result = TemplateText()
    var automatic = 0
    while let (start, brace) = reader.next(anyOf: "{}") {
      result.append(start)
      if reader.consume(String(brace)) {
        result.append(String(brace).utf8, isContent: hasContent)
        continue
      }
      guard brace == "{", let body = reader.next("}") else {
        throw .evaluation(line: line, problem: "a brace in a format stands alone")
      }
      var inside = TemplateFormatReader(body)
      let name = inside.prefix { $0 != "!" && $0 != ":" }
      var value = try formatArgument(name, call, &automatic)
      var field = TemplateFormatField()
      if inside.consume("!") {
        let letter = inside.scalar().map { Character($0) } ?? "s"
        guard "sra".contains(letter) else {
          throw .evaluation(line: line, problem: "a format has an unknown conversion")
        }
        value =
          letter == "s"
          ? .text(try text(of: value, line: line))
          : .text(try representation(of: value, line: line))
      }
      if inside.consume(":") { field = try specification(&inside, value, line: line) }
      field.isContent = hasContent
      result.append(try self.format(value, field, line: line))
    }
    result.append(reader.rest())
    return result
  }

  /// The argument that a field of `format` names: a number, a name or nothing, with parts after it.
  private mutating func formatArgument(
    _ name: TemplateText, _ call: TemplateCall, _ automatic: inout Int
  ) throws(ChatTemplateError) -> TemplateValue {
    let line = call.line
    var reader = TemplateFormatReader(name)
    let first = reader.prefix { $0 != "." && $0 != "[" }.string
    var value: TemplateValue?
    if first.isEmpty || first.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
      let index = first.isEmpty ? automatic : Int(first) ?? .max
      if first.isEmpty { automatic += 1 }
      if call.positional.indices.contains(index) { value = call.positional[index] }
    } else {
      try budget.take(steps: call.named.count, line: line)
      value = call.named.last { $0.name == first }?.value
    }
    guard var value else {
      throw .evaluation(line: line, problem: "a format names a value that is not there")
    }
    while let mark = reader.consume(anyOf: ".[") {
      try budget.take(steps: 1, line: line)
      if mark == "." {
        value = try attribute(reader.prefix { $0 != "." && $0 != "[" }, of: value, line: line)
      } else {
        let key = reader.next("]") ?? TemplateText()
        value = try element(
          PythonNumber.integer(key.string).map { .int($0) } ?? .text(key), of: value, line: line)
      }
    }
    return value
  }

  /// Reads the part of a field after the colon.
  private func specification(
    _ reader: inout TemplateFormatReader, _ value: TemplateValue, line: Int
  ) throws(ChatTemplateError) -> TemplateFormatField {
    var field = TemplateFormatField()
    if let (fill, alignment) = reader.fillAndAlignment() {
      field.fill = fill
      field.alignment = alignment
    }
    field.sign = reader.consume(anyOf: "+- ")
    if reader.consume("#") { field.isAlternate = true }
    if reader.consume("0"), field.alignment == nil {
      field.fill = "0"
      field.alignment = "="
    }
    field.width = reader.number() ?? 0
    field.hasCommas = reader.consume(",")
    if reader.consume(".") { field.precision = reader.number() ?? 0 }
    let letter = reader.scalar().map { Character($0) }
    guard reader.scalar() == nil else {
      throw .evaluation(line: line, problem: "a format is malformed")
    }
    switch value {
    case .int, .bool: field.letter = letter ?? "d"
    case .double:
      if letter == nil, field.precision == nil {
        throw .unsupported(line: line, construct: "a format of a number without a type")
      }
      field.letter = letter ?? "g"
    default:
      guard letter == nil || letter == "s" else {
        throw .evaluation(line: line, problem: "\(value.kindName) is formatted as a number")
      }
    }
    return field
  }
}
