extension RegularExpressionParser {
  /// The group whose "(" has been read; nil for a comment.
  mutating func group() throws(RegularExpressionError) -> RegularExpressionNode? {
    guard skip("?") else {
      guard next != "*" else { throw .unsupported("a callout (*...)") }
      return try rest()
    }
    if skip("#") {
      while let scalar = next {
        position += scalar == "\\" ? 2 : 1
        if scalar == ")" { return nil }
      }
      throw .malformed("has a comment without end")
    }
    if skip(":") { return try rest() }
    if skip("=") { return .lookAhead(try rest(), isNegated: false) }
    if skip("!") { return .lookAhead(try rest(), isNegated: true) }
    if skip("<=") { return try lookBehind(isNegated: false) }
    if skip("<!") { return try lookBehind(isNegated: true) }
    if skip(">") { return try atomic() }
    if skip("~") { throw .unsupported("an absent operator (?~...)") }
    if skip("(") { throw .unsupported("a conditional (?(...)...)") }
    if skip("{") { throw .unsupported("a callout (?{...})") }
    if next == "<" || next == "'" {
      try skipGroupName()
      return try rest()
    }
    return try optionGroup()
  }

  /// The group's content and the ")" after it.
  private mutating func rest() throws(RegularExpressionError) -> RegularExpressionNode {
    let outer = options
    let node = try alternation()
    options = outer
    guard skip(")") else { throw .malformed("has a group without end") }
    return node
  }

  private mutating func skipGroupName() throws(RegularExpressionError) {
    let end: Unicode.Scalar = next == "<" ? ">" : "'"
    position += 1
    var isEmpty = true
    while let scalar = next, scalar != end {
      guard scalar == "_" || scalar.properties.isAlphabetic || !isEmpty && scalar.isDecimal else {
        throw .malformed("has a group with a wrong name")
      }
      isEmpty = false
      position += 1
    }
    guard next == end, !isEmpty else { throw .malformed("has a group with a wrong name") }
    position += 1
  }

  /// `(?i:...)`, or `(?i)` with the rest of the group around it.
  private mutating func optionGroup() throws(RegularExpressionError) -> RegularExpressionNode {
    let outer = options
    var value = true
    while let scalar = next, scalar != ":", scalar != ")" {
      position += 1
      switch scalar {
      case "-": value = false
      case "i": options.ignoresCase = value
      case "m": options.dotIsAny = value
      default: throw .unsupported("the group (?\(scalar)...)")
      }
    }
    defer { options = outer }
    guard let scalar = next else { throw .malformed("has a group without end") }
    position += 1
    return scalar == ":" ? try rest() : try alternation()
  }

  private mutating func lookBehind(
    isNegated: Bool
  ) throws(RegularExpressionError) -> RegularExpressionNode {
    guard let set = try rest().singleScalar else {
      throw .unsupported("a look-behind at other than one character")
    }
    return .lookBehind(set, orStart: false, isNegated: isNegated)
  }

  /// `(?>...)`: the repetition of one scalar is a possessive one.
  private mutating func atomic() throws(RegularExpressionError) -> RegularExpressionNode {
    let node = try rest()
    if node.singleScalar != nil { return node }
    if case .repetition(let body, let minimum, let maximum, false) = node,
      let possessive = RegularExpressionNode.possessive(body, minimum: minimum, maximum: maximum)
    {
      return possessive
    }
    throw .unsupported("an atomic group (?>...)")
  }
}

extension Unicode.Scalar {
  fileprivate var isDecimal: Bool { properties.generalCategory == .decimalNumber }
}
