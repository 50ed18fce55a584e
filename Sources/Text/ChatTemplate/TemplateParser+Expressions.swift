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
    let first = try parseUnary(withFilters: true)
    var rest: [(TemplateExpression.ArithmeticOperator, TemplateExpression)] = []
    while let operation = consumeOperator(["*", "//", "%"]) {
      rest.append((operation, try parseUnary(withFilters: true)))
    }
    if isNext("/") || isNext("**") { throw unsupported("the operator '/' or '**'") }
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
    if consume("-") {
      let operand = try nested { (parser) throws(ChatTemplateError) in
        try parser.parseUnary(withFilters: false)
      }
      value = TemplateExpression(line: line, node: .negative(operand))
    } else if isNext("+") {
      throw unsupported("a plus sign before a value")
    } else {
      value = try parsePrimary()
    }
    var suffixes: [TemplateSuffix] = []
    while let suffix = try parseAccess() { suffixes.append(suffix) }
    if withFilters {
      while let suffix = try parseFilterOrTest() { suffixes.append(suffix) }
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
      default: node = .variable(variable(named: name))
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
    case .symbol("("):
      advance()
      let value = try parseExpression()
      if isNext(",") { throw unsupported("a tuple") }
      try expect(")")
      return value
    case .symbol("["):
      advance()
      node = .list(try parseElements(until: "]"))
    case .symbol("{"):
      throw unsupported("a mapping in braces")
    default:
      throw unexpected(wanting: "a value")
    }
    return TemplateExpression(line: line, node: node)
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
      if case .int = token.kind { throw unsupported("an element by number after a dot") }
      let name = try expectName()
      guard consume("(") else { return TemplateSuffix(line: line, kind: .attribute(name)) }
      return TemplateSuffix(line: line, kind: .method(name, try parseArguments()))
    }
    if consume("[") { return TemplateSuffix(line: line, kind: try parseSubscript()) }
    if consume("(") { return TemplateSuffix(line: line, kind: .call(try parseArguments())) }
    return nil
  }

  private mutating func parseSubscript() throws(ChatTemplateError) -> TemplateSuffix.Kind {
    let first = isNext(":") ? nil : try parseExpression()
    if isNext(",") { throw unsupported("a subscript of several parts") }
    if let first, consume("]") { return .element(first) }
    try expect(":")
    let last = isNext("]") || isNext(":") ? nil : try parseExpression()
    if isNext(":") { throw unsupported("a slice with a step") }
    try expect("]")
    return .slice(from: first, to: last)
  }

  private mutating func parseFilterOrTest() throws(ChatTemplateError) -> TemplateSuffix? {
    let line = self.line
    if consume("|") {
      let name = try expectName()
      let arguments = consume("(") ? try parseArguments() : TemplateArguments()
      return TemplateSuffix(line: line, kind: .filter(name, arguments))
    }
    guard consumeName("is") else { return nil }
    let isNegated = consumeName("not")
    let name = try expectName()
    var arguments = TemplateArguments()
    if consume("(") {
      arguments = try parseArguments()
    } else if startsTestArgument {
      arguments.positional = [
        try nested { (parser) throws(ChatTemplateError) in
          try parser.parseUnary(withFilters: false)
        }
      ]
    }
    return TemplateSuffix(line: line, kind: .test(name, arguments, negated: isNegated))
  }

  /// Whether the current token begins an argument that follows a test without parentheses.
  private var startsTestArgument: Bool {
    switch token.kind {
    case .name(let name): !["else", "or", "and", "is", "if", "in", "not"].contains(name)
    case .string, .int, .symbol("["): true
    default: false
    }
  }

  /// Parses the arguments after an opening parenthesis, and the closing one.
  private mutating func parseArguments() throws(ChatTemplateError) -> TemplateArguments {
    var arguments = TemplateArguments()
    while !consume(")") {
      if isNext("*") || isNext("**") { throw unsupported("an unpacked argument") }
      var value = try parseExpression()
      if isNext("="), case .variable(let number) = value.node {
        advance()
        let name = name(ofVariable: number)
        value = try parseExpression()
        arguments.named.append((name, value))
      } else if !arguments.named.isEmpty {
        throw .syntax(line: value.line, problem: "an argument without a name follows one with")
      } else {
        arguments.positional.append(value)
      }
      if consume(")") { break }
      try expect(",")
    }
    return arguments
  }
}
