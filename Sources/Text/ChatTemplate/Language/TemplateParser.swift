internal import DuetSystem

/// A parser that builds the tree of a template: the tokens here, blocks and expressions in extensions.
///
/// Grammar and precedence are Jinja's. A construct that is not supported fails only when it is reached,
/// since templates have branches that no chat enters.
struct TemplateParser {
  /// The deepest nesting of blocks and expressions; real templates need about ten levels.
  static let depthLimit = 64

  private let tokens: [TemplateToken]
  private var position = 0
  private var depth = 0
  private var names: [String] = []
  private var numbers: [String: Int] = [:]
  /// The number of loops around the current tag, inside the innermost macro.
  var loopDepth = 0
  /// The names of the unknown tags so far, whose `end` tags are passed over.
  var unknownTags: Set<String> = []
  /// The numbers of the variables that were read so far, in order.
  private(set) var reads: [Int] = []

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

  /// The symbol after the current token, if there is one.
  var followingSymbol: String? {
    guard position + 1 < tokens.count, case .symbol(let symbol) = tokens[position + 1].kind else {
      return nil
    }
    return symbol
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
      case .double(let value): "\(value)"
      case .symbol(let symbol): "'\(symbol)'"
      case .end: "the end of the template"
      }
    return .syntax(line: line, problem: "found \(found) where \(wanted) should be")
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

  /// Whether no block or expression is open.
  var isOutermost: Bool { depth == 0 }

  mutating func variable(named name: String) -> Int {
    if let number = numbers[name] { return number }
    names.append(name)
    numbers[name] = names.count - 1
    return names.count - 1
  }

  /// The number of a variable that an expression reads.
  mutating func read(_ name: String) -> Int {
    let number = variable(named: name)
    reads.append(number)
    return number
  }
}
