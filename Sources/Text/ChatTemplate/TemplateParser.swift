internal import DuetSystem

/// A parser that builds the tree of a template: the blocks here, the expressions in an extension.
///
/// Grammar and precedence are Jinja's; constructs that are not supported are refused by name.
struct TemplateParser {
  /// The deepest nesting of blocks and expressions; real templates need about ten levels.
  static let depthLimit = 64

  private var tokens: [TemplateToken]
  private var position = 0
  private var depth = 0
  private var names: [String] = []
  private var numbers: [String: Int] = [:]

  static func parse(_ source: String) throws(ChatTemplateError) -> TemplateProgram {
    var parser = TemplateParser(tokens: try TemplateLexer.tokens(of: source))
    let body = try parser.parseBody(until: [])
    return TemplateProgram(body: body, names: parser.names)
  }

  private init(tokens: [TemplateToken]) { self.tokens = tokens }

  // MARK: - Tokens

  var token: TemplateToken { tokens[position] }
  var line: Int { token.line }

  /// Moves to the next token; the last one, which marks the end, is never passed.
  mutating func advance() { position = min(position + 1, tokens.count - 1) }

  func isNext(_ symbol: String) -> Bool { token.kind == .symbol(symbol) }

  func isNextName(_ name: String) -> Bool { token.kind == .name(name) }

  /// The name after the current token, if there is one.
  var followingName: String? {
    guard position + 1 < tokens.count, case .name(let name) = tokens[position + 1].kind else {
      return nil
    }
    return name
  }

  mutating func consume(_ symbol: String) -> Bool {
    guard isNext(symbol) else { return false }
    advance()
    return true
  }

  mutating func consumeName(_ name: String) -> Bool {
    guard isNextName(name) else { return false }
    advance()
    return true
  }

  mutating func expect(_ symbol: String) throws(ChatTemplateError) {
    guard consume(symbol) else { throw unexpected(wanting: "'\(symbol)'") }
  }

  mutating func expectName() throws(ChatTemplateError) -> String {
    guard case .name(let name) = token.kind else { throw unexpected(wanting: "a name") }
    advance()
    return name
  }

  func unexpected(wanting wanted: String) -> ChatTemplateError {
    let found =
      switch token.kind {
      case .text: "text"
      case .outputBegin: "'{{'"
      case .outputEnd: "'}}'"
      case .blockBegin: "'{%'"
      case .blockEnd: "'%}'"
      case .name(let name): "'\(printable(name, limit: 40))'"
      case .string: "a string"
      case .int(let value): "\(value)"
      case .symbol(let symbol): "'\(symbol)'"
      case .end: "the end of the template"
      }
    return .syntax(line: line, problem: "found \(found) where \(wanted) should be")
  }

  func unsupported(_ construct: String, line: Int? = nil) -> ChatTemplateError {
    .unsupported(line: line ?? self.line, construct: construct)
  }

  /// Runs `parse` one level deeper, unless that is too deep.
  mutating func nested<Result>(
    _ parse: (inout TemplateParser) throws(ChatTemplateError) -> Result
  ) throws(ChatTemplateError) -> Result {
    guard depth < Self.depthLimit else {
      throw .nestedTooDeeply(line: line, limit: Self.depthLimit)
    }
    depth += 1
    defer { depth -= 1 }
    return try parse(&self)
  }

  mutating func variable(named name: String) -> Int {
    if let number = numbers[name] { return number }
    names.append(name)
    numbers[name] = names.count - 1
    return names.count - 1
  }

  func name(ofVariable number: Int) -> String { names[number] }

  // MARK: - Blocks

  /// Parses up to a block whose tag is in `ends`, and leaves that tag's name as the current token.
  private mutating func parseBody(
    until ends: [String]
  ) throws(ChatTemplateError) -> [TemplateStatement] {
    var body: [TemplateStatement] = []
    while true {
      let line = self.line
      switch token.kind {
      case .text(let bytes):
        advance()
        body.append(TemplateStatement(line: line, action: .text(TemplateText(bytes: bytes))))
      case .outputBegin:
        advance()
        let value = try parseExpression()
        guard token.kind == .outputEnd else { throw unexpected(wanting: "'}}'") }
        advance()
        body.append(TemplateStatement(line: line, action: .output(value)))
      case .blockBegin:
        advance()
        if case .name(let name) = token.kind, ends.contains(name) { return body }
        body.append(TemplateStatement(line: line, action: try parseBlock()))
      default:
        guard ends.isEmpty else { throw unexpected(wanting: "the tag '\(ends[ends.count - 1])'") }
        return body
      }
    }
  }

  private mutating func parseBlock() throws(ChatTemplateError) -> TemplateStatement.Action {
    let line = self.line
    let tag = try expectName()
    switch tag {
    case "set": return try parseSet()
    case "if": return try parseIf()
    case "for": return try parseFor()
    case "elif", "else", "endif", "endfor":
      throw .syntax(line: line, problem: "the tag '\(tag)' has nothing to belong to")
    default:
      throw unsupported("the tag '\(printable(tag, limit: 40))'", line: line)
    }
  }

  private mutating func expectBlockEnd() throws(ChatTemplateError) {
    guard token.kind == .blockEnd else { throw unexpected(wanting: "'%}'") }
    advance()
  }

  private mutating func parseSet() throws(ChatTemplateError) -> TemplateStatement.Action {
    let name = try expectName()
    let variable = variable(named: name)
    var attribute: String?
    if consume(".") { attribute = try expectName() }
    if isNext(",") { throw unsupported("setting several variables at once") }
    if token.kind == .blockEnd || isNext("|") {
      throw unsupported("a set block without '='")
    }
    try expect("=")
    let value = try parseExpression()
    if isNext(",") { throw unsupported("a tuple") }
    try expectBlockEnd()
    guard let attribute else { return .set(variable: variable, to: value) }
    return .setAttribute(attribute, of: variable, to: value)
  }

  private mutating func parseIf() throws(ChatTemplateError) -> TemplateStatement.Action {
    var branches: [(test: TemplateExpression, body: [TemplateStatement])] = []
    repeat {
      let test = try parseDisjunction()
      try expectBlockEnd()
      let body = try nested { (parser) throws(ChatTemplateError) in
        try parser.parseBody(until: ["elif", "else", "endif"])
      }
      branches.append((test, body))
    } while consumeName("elif")
    let otherwise = try parseElse(end: "endif")
    return .choose(branches, else: otherwise)
  }

  /// Parses an `else` part if there is one, and the tag `end`.
  private mutating func parseElse(
    end: String
  ) throws(ChatTemplateError) -> [TemplateStatement] {
    var body: [TemplateStatement] = []
    if consumeName("else") {
      try expectBlockEnd()
      body = try nested { (parser) throws(ChatTemplateError) in
        try parser.parseBody(until: [end])
      }
    }
    guard consumeName(end) else { throw unexpected(wanting: "the tag '\(end)'") }
    try expectBlockEnd()
    return body
  }

  private mutating func parseFor() throws(ChatTemplateError) -> TemplateStatement.Action {
    var targets: [Int] = []
    repeat {
      if isNext("(") { throw unsupported("a loop variable in parentheses") }
      targets.append(variable(named: try expectName()))
    } while consume(",")
    guard consumeName("in") else { throw unexpected(wanting: "'in'") }
    let elements = try parseDisjunction()
    var filter: TemplateExpression?
    if consumeName("if") { filter = try parseExpression() }
    if isNextName("recursive") { throw unsupported("a recursive loop") }
    try expectBlockEnd()
    let body = try nested { (parser) throws(ChatTemplateError) in
      try parser.parseBody(until: ["else", "endfor"])
    }
    let otherwise = try parseElse(end: "endfor")
    return .repeatFor(
      TemplateLoop(
        targets: targets, elements: elements, filter: filter, body: body, otherwise: otherwise))
  }
}
