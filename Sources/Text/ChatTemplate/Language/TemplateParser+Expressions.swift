/// The parsing of expressions: one function per level of precedence, the loosest first.
extension TemplateParser {
  typealias Node = TemplateExpression.Node

  /// Parses a whole expression: `value if test else other`, or simpler.
  mutating func parseExpression() throws(ChatTemplateError) -> TemplateExpression {
    try nested { (parser) throws(ChatTemplateError) in
      let value = try parser.parseDisjunction()
      let line = parser.line
      guard parser.consumeName("if") else { return value }
      let test = try parser.parseDisjunction()
      var other: TemplateExpression?
      if parser.consumeName("else") { other = try parser.parseExpression() }
      return TemplateExpression(line: line, node: .conditional(value, if: test, else: other))
    }
  }

  /// Parses an expression without the conditional form, as the tags `if` and `for` need it.
  mutating func parseDisjunction() throws(ChatTemplateError) -> TemplateExpression {
    let line = self.line
    var operands = [try parseConjunction()]
    while consumeName("or") { operands.append(try parseConjunction()) }
    return operands.count == 1
      ? operands[0] : TemplateExpression(line: line, node: .any(operands))
  }

  private mutating func parseConjunction() throws(ChatTemplateError) -> TemplateExpression {
    let line = self.line
    var operands = [try parseNegation()]
    while consumeName("and") { operands.append(try parseNegation()) }
    return operands.count == 1
      ? operands[0] : TemplateExpression(line: line, node: .all(operands))
  }

  private mutating func parseNegation() throws(ChatTemplateError) -> TemplateExpression {
    let line = self.line
    guard consumeName("not") else { return try parseComparison() }
    let operand = try nested { (parser) throws(ChatTemplateError) in
      try parser.parseNegation()
    }
    return TemplateExpression(line: line, node: .not(operand))
  }

  private mutating func parseComparison() throws(ChatTemplateError) -> TemplateExpression {
    let line = self.line
    let first = try parseSum()
    var rest: [(TemplateExpression.ComparisonOperator, TemplateExpression)] = []
    while let comparison = consumeComparison() { rest.append((comparison, try parseSum())) }
    return rest.isEmpty
      ? first : TemplateExpression(line: line, node: .comparison(first, rest))
  }

  private mutating func consumeComparison() -> TemplateExpression.ComparisonOperator? {
    switch token.kind {
    case .symbol(let symbol):
      guard let comparison = TemplateExpression.ComparisonOperator(rawValue: symbol) else {
        return nil
      }
      advance()
      return comparison
    case .name("in"):
      advance()
      return .isIn
    case .name("not") where followingName == "in":
      advance()
      advance()
      return .isNotIn
    default:
      return nil
    }
  }

  private mutating func parseSum() throws(ChatTemplateError) -> TemplateExpression {
    let line = self.line
    let first = try parseConcatenation()
    var rest: [(TemplateExpression.ArithmeticOperator, TemplateExpression)] = []
    while let operation = consumeOperator(["+", "-"]) {
      rest.append((operation, try parseConcatenation()))
    }
    return rest.isEmpty
      ? first : TemplateExpression(line: line, node: .arithmetic(first, rest))
  }

  private mutating func parseConcatenation() throws(ChatTemplateError) -> TemplateExpression {
    let line = self.line
    var operands = [try parseProduct()]
    while consume("~") { operands.append(try parseProduct()) }
    return operands.count == 1
      ? operands[0] : TemplateExpression(line: line, node: .concatenation(operands))
  }

  private mutating func parseProduct() throws(ChatTemplateError) -> TemplateExpression {
    let line = self.line
    let first = try parsePower()
    var rest: [(TemplateExpression.ArithmeticOperator, TemplateExpression)] = []
    while let operation = consumeOperator(["*", "/", "//", "%"]) {
      rest.append((operation, try parsePower()))
    }
    return rest.isEmpty
      ? first : TemplateExpression(line: line, node: .arithmetic(first, rest))
  }

  /// Parses powers, which Jinja computes from left to right, unlike Python.
  private mutating func parsePower() throws(ChatTemplateError) -> TemplateExpression {
    let line = self.line
    let first = try parseUnary(withFilters: true)
    var rest: [(TemplateExpression.ArithmeticOperator, TemplateExpression)] = []
    while consume("**") { rest.append((.power, try parseUnary(withFilters: true))) }
    return rest.isEmpty
      ? first : TemplateExpression(line: line, node: .arithmetic(first, rest))
  }

  private mutating func consumeOperator(
    _ symbols: [String]
  ) -> TemplateExpression.ArithmeticOperator? {
    guard case .symbol(let symbol) = token.kind, symbols.contains(symbol) else { return nil }
    advance()
    return TemplateExpression.ArithmeticOperator(rawValue: symbol)
  }

  /// Parses a value with its suffixes.
  ///
  /// Filters and tests bind more loosely than a sign before the value.
  private mutating func parseUnary(
    withFilters: Bool
  ) throws(ChatTemplateError) -> TemplateExpression {
    let line = self.line
    var value: TemplateExpression
    if isNext("-") || isNext("+") {
      let isNegative = isNext("-")
      advance()
      let operand = try nested { (parser) throws(ChatTemplateError) in
        try parser.parseUnary(withFilters: false)
      }
      value = TemplateExpression(
        line: line, node: isNegative ? .negative(operand) : .positive(operand))
    } else {
      value = try parsePrimary()
    }
    var suffixes: [TemplateSuffix] = []
    while let suffix = try parseAccess() { suffixes.append(suffix) }
    if withFilters {
      while let suffix = try parseFilterTestOrCall() { suffixes.append(suffix) }
    }
    return suffixes.isEmpty
      ? value : TemplateExpression(line: line, node: .applied(value, suffixes))
  }

  private mutating func parsePrimary() throws(ChatTemplateError) -> TemplateExpression {
    let line = self.line
    let node: Node
    switch token.kind {
    case .name(let name):
      advance()
      switch name {
      case "true", "True": node = .literal(.bool(true))
      case "false", "False": node = .literal(.bool(false))
      case "none", "None": node = .literal(.none)
      case "if", "else", "elif", "in", "is", "and", "or", "not":
        throw .syntax(line: line, problem: "'\(name)' stands where a value should be")
      default: node = .variable(read(name))
      }
    case .string(var bytes):
      advance()
      while case .string(let more) = token.kind {
        bytes += more
        advance()
      }
      node = .literal(.text(TemplateText(bytes: bytes)))
    case .int(let value):
      advance()
      node = .literal(.int(value))
    case .double(let value):
      advance()
      node = .literal(.double(value))
    case .symbol("("):
      advance()
      if consume(")") {
        node = .tuple([])
      } else {
        let value = try parseTuple()
        try expect(")")
        return value
      }
    case .symbol("["):
      advance()
      node = .list(try parseElements(until: "]"))
    case .symbol("{"):
      advance()
      node = .map(try parseEntries())
    default:
      throw unexpected(wanting: "a value")
    }
    return TemplateExpression(line: line, node: node)
  }

  /// Parses an expression, or several with commas between them as a tuple.
  ///
  /// - Parameter conditional: Whether `a if b else c` is allowed, which it is not after `in` or `if`.
  /// - Returns: The expression.
  /// - Throws: `ChatTemplateError` when the source is malformed or nested too deeply.
  mutating func parseTuple(
    conditional: Bool = true
  ) throws(ChatTemplateError) -> TemplateExpression {
    let line = self.line
    var elements: [TemplateExpression] = []
    while true {
      if conditional {
        elements.append(try parseExpression())
      } else {
        elements.append(try parseDisjunction())
      }
      guard consume(",") else { break }
      if !beginsValue { return TemplateExpression(line: line, node: .tuple(elements)) }
    }
    return elements.count == 1
      ? elements[0] : TemplateExpression(line: line, node: .tuple(elements))
  }

  /// Whether the current token can begin another element of a tuple.
  private var beginsValue: Bool {
    switch token.kind {
    case .symbol(")"), .symbol("="), .symbol("]"), .symbol("}"), .outputEnd, .blockEnd, .end: false
    case .name("in"), .name("recursive"), .name("if"): false
    default: true
    }
  }

  private mutating func parseEntries() throws(ChatTemplateError)
    -> [(key: TemplateExpression, value: TemplateExpression)]
  {
    var entries: [(key: TemplateExpression, value: TemplateExpression)] = []
    while !consume("}") {
      let key = try parseExpression()
      try expect(":")
      entries.append((key, try parseExpression()))
      if consume("}") { break }
      try expect(",")
    }
    return entries
  }

  private mutating func parseElements(
    until end: String
  ) throws(ChatTemplateError) -> [TemplateExpression] {
    var elements: [TemplateExpression] = []
    while !consume(end) {
      elements.append(try parseExpression())
      if consume(end) { break }
      try expect(",")
    }
    return elements
  }

  // MARK: - Suffixes

  private mutating func parseAccess() throws(ChatTemplateError) -> TemplateSuffix? {
    let line = self.line
    if consume(".") {
      if case .int(let index) = token.kind {
        advance()
        let number = TemplateExpression(line: line, node: .literal(.int(index)))
        return TemplateSuffix(line: line, kind: .element(number))
      }
      let name = try expectName()
      guard consume("(") else { return TemplateSuffix(line: line, kind: .attribute(name)) }
      return TemplateSuffix(line: line, kind: .method(name, try parseArguments()))
    }
    if consume("[") { return TemplateSuffix(line: line, kind: try parseSubscript()) }
    return try parseCall()
  }

  private mutating func parseCall() throws(ChatTemplateError) -> TemplateSuffix? {
    let line = self.line
    guard consume("(") else { return nil }
    return TemplateSuffix(line: line, kind: .call(try parseArguments()))
  }

  private mutating func parseSubscript() throws(ChatTemplateError) -> TemplateSuffix.Kind {
    let first = isNext(":") ? nil : try parseTuple()
    if let first, consume("]") { return .element(first) }
    try expect(":")
    let last = isNext("]") || isNext(":") ? nil : try parseExpression()
    var step: TemplateExpression?
    if consume(":"), !isNext("]") { step = try parseExpression() }
    try expect("]")
    return .slice(from: first, to: last, by: step)
  }

  /// Parses a filter with its bar, if one is next.
  mutating func parseFilter() throws(ChatTemplateError) -> TemplateSuffix? {
    guard consume("|") else { return nil }
    return try parseFilterName()
  }

  /// Parses the name of a filter and its arguments.
  mutating func parseFilterName() throws(ChatTemplateError) -> TemplateSuffix {
    let line = self.line
    let name = try expectDottedName()
    let arguments = consume("(") ? try parseArguments() : TemplateArguments()
    return TemplateSuffix(line: line, kind: .filter(name, arguments))
  }

  private mutating func parseFilterTestOrCall() throws(ChatTemplateError) -> TemplateSuffix? {
    if let filter = try parseFilter() { return filter }
    if let test = try parseTest() { return test }
    return try parseCall()
  }

  private mutating func expectDottedName() throws(ChatTemplateError) -> String {
    var name = try expectName()
    while consume(".") { name += "." + (try expectName()) }
    return name
  }

  private mutating func parseTest() throws(ChatTemplateError) -> TemplateSuffix? {
    let line = self.line
    guard consumeName("is") else { return nil }
    let isNegated = consumeName("not")
    let name = try expectDottedName()
    var arguments = TemplateArguments()
    if consume("(") {
      arguments = try parseArguments()
    } else if isNextName("is") {
      throw .syntax(line: self.line, problem: "a test follows a test")
    } else if startsTestArgument {
      arguments.positional = [
        try nested { (parser) throws(ChatTemplateError) in
          try parser.parseTestArgument()
        }
      ]
    }
    return TemplateSuffix(line: line, kind: .test(name, arguments, negated: isNegated))
  }

  /// Parses a value with its parts and calls, but without a sign, filters or tests.
  private mutating func parseTestArgument() throws(ChatTemplateError) -> TemplateExpression {
    let line = self.line
    let value = try parsePrimary()
    var suffixes: [TemplateSuffix] = []
    while let suffix = try parseAccess() { suffixes.append(suffix) }
    return suffixes.isEmpty
      ? value : TemplateExpression(line: line, node: .applied(value, suffixes))
  }

  /// Whether the current token begins an argument that follows a test without parentheses.
  private var startsTestArgument: Bool {
    switch token.kind {
    case .name(let name): !["else", "or", "and", "is", "if", "in", "not"].contains(name)
    case .string, .int, .double, .symbol("["), .symbol("{"): true
    default: false
    }
  }

  /// Parses the arguments after an opening parenthesis, and the closing one.
  mutating func parseArguments() throws(ChatTemplateError) -> TemplateArguments {
    var arguments = TemplateArguments()
    while !consume(")") {
      let line = self.line
      if consume("**") {
        guard arguments.unpackedMap == nil else { throw unexpected(wanting: "')'") }
        arguments.unpackedMap = try parseExpression()
      } else if consume("*") {
        guard arguments.unpackedList == nil, arguments.unpackedMap == nil else {
          throw unexpected(wanting: "')'")
        }
        arguments.unpackedList = try parseExpression()
      } else if case .name(let name) = token.kind, followingSymbol == "=" {
        advance()
        advance()
        arguments.named.append((name, try parseExpression()))
      } else {
        guard arguments.named.isEmpty, arguments.unpackedList == nil,
          arguments.unpackedMap == nil
        else { throw .syntax(line: line, problem: "an argument without a name follows one with") }
        arguments.positional.append(try parseExpression())
      }
      if consume(")") { break }
      try expect(",")
    }
    return arguments
  }
}
