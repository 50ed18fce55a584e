/// A parser of the dialect in which published tokenizers write their patterns: Oniguruma's.
///
/// Oniguruma differs from other dialects in a few places. `{n,m}+` repeats the repetition (it is
/// not possessive), `{n}?` makes it optional (it is not lazy), `^` and `$` are true at every line,
/// `\h` is a hexadecimal digit, `(?m)` lets a dot match a line feed, and `(?i)` in the middle of a
/// group takes the rest of the group, including its branches.
///
/// Source: K. Kosako, Oniguruma 6.9, doc/RE.
struct RegularExpressionParser {
  /// The expression.
  let scalars: [Unicode.Scalar]
  /// The index of the scalar to be read next.
  var position = 0
  /// What `(?i)` and `(?m)` set, in the group being read.
  var options = Options()
  /// The least scalar that differs in case only from the last one that stands for itself.
  var lastFolded: UInt32?
  /// The number of groups and classes around the part being read.
  var depth = 0

  struct Options {
    var ignoresCase = false
    /// Whether a dot matches a line feed.
    var dotIsAny = false
  }

  /// Groups and classes may be nested so deep: the parser and what walks over its trees are
  /// recursive.
  static let depthLimit = 64
  /// The largest number in braces.
  static let countLimit = 100_000

  /// The tree of an expression.
  ///
  /// - Complexity: O(length), apart from the sets that the expression names.
  static func parse(_ pattern: String) throws(RegularExpressionError) -> RegularExpressionNode {
    var parser = RegularExpressionParser(scalars: Array(pattern.unicodeScalars))
    let node = try parser.alternation()
    guard parser.position == parser.scalars.count else {
      throw .malformed("closes a group that is not open")
    }
    return node
  }

  // MARK: - Reading

  var next: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

  func peek(_ offset: Int) -> Unicode.Scalar? {
    position + offset < scalars.count ? scalars[position + offset] : nil
  }

  /// Reads `text` if it comes next.
  mutating func skip(_ text: String) -> Bool {
    let expected = text.unicodeScalars
    guard scalars[position...].starts(with: expected) else { return false }
    position += expected.count
    return true
  }

  /// Runs `body` one level deeper.
  mutating func nested<Result>(
    _ body: (inout RegularExpressionParser) throws(RegularExpressionError) -> Result
  ) throws(RegularExpressionError) -> Result {
    guard depth < Self.depthLimit else {
      throw .unsupported("groups nested more than \(Self.depthLimit) deep")
    }
    depth += 1
    defer { depth -= 1 }
    return try body(&self)
  }

  // MARK: - Branches and parts

  /// `a|b|c`, up to the end of the group.
  mutating func alternation() throws(RegularExpressionError) -> RegularExpressionNode {
    var branches = [try sequence()]
    while skip("|") { branches.append(try sequence()) }
    return branches.count == 1 ? branches[0] : .alternation(branches)
  }

  private mutating func sequence() throws(RegularExpressionError) -> RegularExpressionNode {
    var parts: [RegularExpressionNode] = []
    /// The scalars at the end of `parts` that stand for themselves in any case.
    var folded: [UInt32] = []
    while let scalar = next, scalar != "|", scalar != ")" {
      lastFolded = nil
      guard let part = try atom() else { continue }
      let (literal, end) = (lastFolded, position)
      parts.append(try quantified(part))
      if let literal, position == end {
        folded.append(literal)
        try CaseFolding.refuseExpansion(endOf: folded)
      } else {
        folded = []
      }
    }
    return parts.count == 1 ? parts[0] : .sequence(parts)
  }

  /// One scalar, class, group or assertion; nil for what matches nothing by itself, as a comment.
  private mutating func atom() throws(RegularExpressionError) -> RegularExpressionNode? {
    guard let scalar = next else { return nil }
    switch scalar {
    case "(":
      position += 1
      return try nested { (parser) throws(RegularExpressionError) in try parser.group() }
    case "[":
      position += 1
      return .set(try outermostClass())
    case ".":
      position += 1
      return .set(options.dotIsAny ? .all : ScalarSet.lineFeed.inverted)
    case "^":
      position += 1
      // Not after a line feed that ends the text.
      return .alternation([
        .lookBehind(.none, orStart: true, isNegated: false),
        .sequence([
          .lookBehind(.lineFeed, orStart: false, isNegated: false),
          .lookAhead(.end, isNegated: true),
        ]),
      ])
    case "$":
      position += 1
      return .alternation([.end, .lookAhead(.set(.lineFeed), isNegated: false)])
    case "*", "+", "?":
      throw .malformed("repeats nothing at \"\(scalar)\"")
    case "\\":
      position += 1
      return try escape()
    case "{":
      if let interval = interval() {
        throw .malformed("repeats nothing at \"{\(interval.minimum)}\"")
      }
      fallthrough
    default:
      position += 1
      return try literal(scalar.value)
    }
  }

  /// A scalar that stands for itself.
  mutating func literal(_ value: UInt32) throws(RegularExpressionError) -> RegularExpressionNode {
    guard options.ignoresCase else { return .set(ScalarSet(value)) }
    let set = CaseFolding.closure(of: ScalarSet(value))
    try CaseFolding.refuseExpansion(of: set)
    lastFolded = set.ranges.first?.lowerBound
    return .set(set)
  }

  // MARK: - Quantifiers

  /// `node` with the quantifiers that follow it.
  private mutating func quantified(
    _ node: RegularExpressionNode
  ) throws(RegularExpressionError) -> RegularExpressionNode {
    var node = node
    var count = 0
    while let scalar = next {
      let minimum: Int
      let maximum: Int?
      var isInterval = false
      switch scalar {
      case "*": (minimum, maximum) = (0, nil)
      case "+": (minimum, maximum) = (1, nil)
      case "?": (minimum, maximum) = (0, 1)
      case "{":
        guard let interval = interval() else { return node }
        guard interval.isInOrder else {
          throw .unsupported("a repetition whose first number is the larger")
        }
        guard max(interval.minimum, interval.maximum ?? 0) <= Self.countLimit else {
          throw .malformed("repeats more than \(Self.countLimit) times")
        }
        (minimum, maximum) = (interval.minimum, interval.maximum)
        isInterval = true
      default: return node
      }
      count += 1
      guard count <= 4 else { throw .unsupported("more than 4 quantifiers in a row") }
      // Whether Oniguruma goes on after an empty turn depends there on the size of the body.
      if minimum > 1 || maximum ?? 1 > 1, node.isNullable {
        throw .unsupported("a counted repetition of what can be empty")
      }
      if !isInterval { position += 1 }
      if next == "+", !isInterval {
        position += 1
        guard
          let possessive = RegularExpressionNode.possessive(
            node, minimum: minimum, maximum: maximum)
        else { throw .unsupported("a possessive quantifier after more than one character") }
        node = possessive
      } else if next == "?", !(isInterval && minimum == maximum) {
        position += 1
        node = .repetition(node, minimum: minimum, maximum: maximum, isLazy: true)
      } else {
        node = .repetition(node, minimum: minimum, maximum: maximum, isLazy: false)
      }
    }
    return node
  }

  private struct Interval {
    var minimum: Int
    var maximum: Int?
    var isInOrder: Bool { maximum.map { $0 >= minimum } ?? true }
  }

  /// Reads `{n}`, `{n,}`, `{,m}` or `{n,m}`; what has another form is not read.
  private mutating func interval() -> Interval? {
    let start = position
    position += 1
    let minimum = number()
    var maximum = minimum
    if skip(",") {
      maximum = number()
      if minimum == nil, maximum == nil {
        position = start
        return nil
      }
    }
    guard minimum != nil || maximum != nil, skip("}") else {
      position = start
      return nil
    }
    return Interval(minimum: minimum ?? 0, maximum: maximum)
  }

  /// Reads a decimal number, or as much of it as shows that it is too large.
  private mutating func number() -> Int? {
    var result: Int?
    while let digit = next, ("0"..."9").contains(digit) {
      if (result ?? 0) <= Self.countLimit {
        result = (result ?? 0) * 10 + Int(digit.value - 0x30)
      }
      position += 1
    }
    return result
  }
}
