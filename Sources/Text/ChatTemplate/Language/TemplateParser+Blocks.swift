internal import DuetSystem

/// The parsing of blocks.
extension TemplateParser {
  /// Parses up to a block whose tag is in `ends`, and leaves that tag's name as the current token.
  mutating func parseBody(
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
        let value = try parseTuple()
        guard token.kind == .outputEnd else { throw unexpected(wanting: "'}}'") }
        advance()
        body.append(TemplateStatement(line: line, action: .output(value)))
      case .blockBegin:
        advance()
        if case .name(let name) = token.kind, ends.contains(name) { return body }
        body.append(contentsOf: try parseBlock().map { TemplateStatement(line: line, action: $0) })
      default:
        guard ends.isEmpty else { throw unexpected(wanting: "the tag '\(ends[ends.count - 1])'") }
        return body
      }
    }
  }

  private mutating func parseBlock() throws(ChatTemplateError) -> [TemplateStatement.Action] {
    let line = self.line
    let tag = try expectName()
    switch tag {
    case "set": return [try parseSet()]
    case "if": return [try parseIf()]
    case "for": return [try parseFor()]
    case "macro": return [.define(try parseMacro())]
    case "call": return [try parseCallBlock()]
    case "filter": return [try parseFilterBlock()]
    case "with": return [try parseWith()]
    case "generation": return [try parseGeneration()]
    case "block" where isOutermost: return [try parseNamedBlock()]
    case "break", "continue":
      guard loopDepth > 0 else {
        throw .syntax(line: line, problem: "the tag '\(tag)' is not in a loop")
      }
      try expectBlockEnd()
      return [tag == "break" ? .leaveLoop : .nextPass]
    case "elif", "else", "endif", "endfor", "endmacro", "endcall", "endset", "endfilter", "endwith",
      "endgeneration", "endraw":
      throw .syntax(line: line, problem: "the tag '\(tag)' has nothing to belong to")
    default:
      return try parseUnknown(tag)
    }
  }

  /// Passes over a tag that is not supported, which fails when it is reached.
  ///
  /// Its body, if it has one, is parsed as what follows it; the tag that ends it does nothing.
  private mutating func parseUnknown(
    _ tag: String
  ) throws(ChatTemplateError) -> [TemplateStatement.Action] {
    while token.kind != .blockEnd {
      guard token.kind != .end else { throw unexpected(wanting: "'%}'") }
      advance()
    }
    advance()
    if tag.hasPrefix("end"), unknownTags.contains(String(tag.dropFirst(3))) { return [] }
    unknownTags.insert(tag)
    return [.unsupported("the tag '\(printable(tag, limit: 40))'")]
  }

  mutating func expectBlockEnd() throws(ChatTemplateError) {
    guard token.kind == .blockEnd else { throw unexpected(wanting: "'%}'") }
    advance()
  }

  /// Parses a body one level deeper, and the tag `end` after it.
  mutating func parseBody(end: String) throws(ChatTemplateError) -> [TemplateStatement] {
    let body = try nested { (parser) throws(ChatTemplateError) in
      try parser.parseBody(until: [end])
    }
    advance()
    try expectBlockEnd()
    return body
  }

  // MARK: - Assignments

  private mutating func parseSet() throws(ChatTemplateError) -> TemplateStatement.Action {
    let target = try parseTarget()
    if consume("=") {
      let value = try parseTuple()
      try expectBlockEnd()
      return .set(target, to: value)
    }
    if case .tuple = target { throw unexpected(wanting: "'='") }
    var filters: [TemplateSuffix] = []
    while let filter = try parseFilter() { filters.append(filter) }
    try expectBlockEnd()
    return .setBlock(target, filters: filters, body: try parseBody(end: "endset"))
  }

  /// Parses the variables before `=` or `in`.
  private mutating func parseTarget() throws(ChatTemplateError) -> TemplateTarget {
    var parts: [TemplateTarget] = []
    var isTuple = false
    repeat {
      // A comma may stand after the last part.
      if isTuple, isNext("=") || isNext(")") || isNextName("in") { break }
      if consume("(") {
        parts.append(
          try nested { (parser) throws(ChatTemplateError) in try parser.parseTarget() })
        try expect(")")
      } else {
        let line = self.line
        let name = try expectName()
        guard !Self.reservedNames.contains(name) else {
          throw .syntax(line: line, problem: "'\(name)' stands where a variable should be")
        }
        let variable = variable(named: name)
        parts.append(
          consume(".") ? .attribute(try expectName(), of: variable) : .variable(variable))
      }
      if isNext(",") { isTuple = true }
    } while consume(",")
    return isTuple ? .tuple(parts) : parts[0]
  }

  /// The names that no variable may have.
  private static let reservedNames: Set = [
    "true", "false", "none", "True", "False", "None", "and", "or", "not", "if", "else", "elif",
    "in",
    "is",
  ]

  private mutating func parseWith() throws(ChatTemplateError) -> TemplateStatement.Action {
    var values: [(target: TemplateTarget, value: TemplateExpression)] = []
    while token.kind != .blockEnd {
      if !values.isEmpty { try expect(",") }
      let target = TemplateTarget.variable(variable(named: try expectName()))
      try expect("=")
      values.append((target, try parseExpression()))
    }
    try expectBlockEnd()
    return .scope(values, body: try parseBody(end: "endwith"))
  }

  // MARK: - Branches and loops

  private mutating func parseIf() throws(ChatTemplateError) -> TemplateStatement.Action {
    var branches: [(test: TemplateExpression, body: [TemplateStatement])] = []
    repeat {
      let test = try parseTuple(conditional: false)
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
    let target = try parseTarget()
    guard consumeName("in") else { throw unexpected(wanting: "'in'") }
    let elements = try parseTuple(conditional: false)
    var filter: TemplateExpression?
    if consumeName("if") { filter = try parseExpression() }
    let isRecursive = consumeName("recursive")
    try expectBlockEnd()
    loopDepth += 1
    let body = try nested { (parser) throws(ChatTemplateError) in
      try parser.parseBody(until: ["else", "endfor"])
    }
    loopDepth -= 1
    let otherwise = try parseElse(end: "endfor")
    return .repeatFor(
      TemplateLoop(
        target: target, elements: elements, filter: filter, isRecursive: isRecursive, body: body,
        otherwise: otherwise))
  }

  // MARK: - Macros

  private mutating func parseMacro() throws(ChatTemplateError) -> TemplateMacro {
    let name = try expectName()
    let variable = variable(named: name)
    try expect("(")
    var macro = try parseSignature(named: name)
    macro.variable = variable
    try expectBlockEnd()
    return try parseMacroBody(macro, end: "endmacro")
  }

  private mutating func parseCallBlock() throws(ChatTemplateError) -> TemplateStatement.Action {
    let macro = consume("(") ? try parseSignature(named: "caller") : Self.macro(named: "caller")
    let line = self.line
    let call = try parseExpression()
    guard case .applied(_, let suffixes) = call.node, let last = suffixes.last, last.isCall else {
      throw .syntax(line: line, problem: "the tag 'call' is given no call")
    }
    try expectBlockEnd()
    return .callWith(call, caller: try parseMacroBody(macro, end: "endcall"))
  }

  /// Parses the mark of trainers around an answer, which is written as it is.
  private mutating func parseGeneration() throws(ChatTemplateError) -> TemplateStatement.Action {
    try expectBlockEnd()
    let loops = loopDepth
    defer { loopDepth = loops }
    loopDepth = 0
    return .scope([], body: try parseBody(end: "endgeneration"))
  }

  /// Parses a block that another template might replace, which without one is written as it is.
  private mutating func parseNamedBlock() throws(ChatTemplateError) -> TemplateStatement.Action {
    let name = try expectName()
    try expectBlockEnd()
    let body = try nested { (parser) throws(ChatTemplateError) in
      try parser.parseBody(until: ["endblock"])
    }
    advance()
    _ = consumeName(name)
    try expectBlockEnd()
    return .scope([], body: body)
  }

  private mutating func parseFilterBlock() throws(ChatTemplateError) -> TemplateStatement.Action {
    var filters = [try parseFilterName()]
    while let filter = try parseFilter() { filters.append(filter) }
    try expectBlockEnd()
    return .filterBlock(filters, body: try parseBody(end: "endfilter"))
  }

  private static func macro(named name: String) -> TemplateMacro {
    TemplateMacro(name: name, parameters: [], body: [])
  }

  /// Parses parameters after an opening parenthesis, and the closing one.
  private mutating func parseSignature(
    named name: String
  ) throws(ChatTemplateError) -> TemplateMacro {
    var macro = Self.macro(named: name)
    while !consume(")") {
      if !macro.parameters.isEmpty { try expect(",") }
      let line = self.line
      let parameter = try expectName()
      let initial = consume("=") ? try parseExpression() : nil
      if initial == nil, macro.parameters.last?.initial != nil {
        throw .syntax(line: line, problem: "a parameter without a value follows one with")
      }
      macro.parameters.append((variable(named: parameter), parameter, initial))
    }
    return macro
  }

  private mutating func parseMacroBody(
    _ macro: TemplateMacro, end: String
  ) throws(ChatTemplateError) -> TemplateMacro {
    var macro = macro
    let loops = loopDepth
    let readsBefore = reads.count
    loopDepth = 0
    macro.body = try parseBody(end: end)
    loopDepth = loops
    // The arguments beyond the parameters are taken only by a body that uses them.
    let used = Set(reads[readsBefore...])
    func variable(_ name: String) -> Int? {
      let number = self.variable(named: name)
      let isParameter = macro.parameters.contains { $0.variable == number }
      return used.contains(number) && !isParameter ? number : nil
    }
    macro.caller = variable("caller")
    macro.varargs = variable("varargs")
    macro.kwargs = variable("kwargs")
    return macro
  }
}

extension TemplateSuffix {
  /// Whether the suffix calls something.
  fileprivate var isCall: Bool {
    switch kind {
    case .call, .method: true
    default: false
    }
  }
}
