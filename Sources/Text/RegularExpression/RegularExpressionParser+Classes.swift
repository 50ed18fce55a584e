extension RegularExpressionParser {
  /// A class that is not inside another, whose "[" has been read.
  mutating func outermostClass() throws(RegularExpressionError) -> ScalarSet {
    let (set, isNegated) = try nested { (parser) throws(RegularExpressionError) in
      try parser.characterClass()
    }
    // The other cases of letters are added before the complement is taken.
    let folded = options.ignoresCase ? CaseFolding.closure(of: set) : set
    if options.ignoresCase, !isNegated { try CaseFolding.refuseExpansion(of: folded) }
    return isNegated ? folded.inverted : folded
  }

  /// The class whose "[" has been read, and whether its complement is meant.
  private mutating func characterClass()
    throws(RegularExpressionError) -> (set: ScalarSet, isNegated: Bool)
  {
    let isNegated = skip("^")
    /// The intersection of the parts before the last "&&".
    var intersection: ScalarSet?
    var ranges: [ClosedRange<UInt32>] = []
    var isFirst = true
    while true {
      guard let scalar = next else { throw .malformed("has a class without end") }
      if scalar == "]", !isFirst || !hasLaterEndOfClass {
        position += 1
        if isFirst { throw .malformed("has an empty class") }
        break
      }
      isFirst = false
      if skip("&&") {
        let part = ScalarSet(ranges)
        intersection = intersection?.intersection(part) ?? part
        ranges = []
        continue
      }
      switch try classItem() {
      case .set(let set): ranges += set.ranges
      case .scalar(let first):
        guard next == "-", let end = peek(1), end != "]" else {
          ranges.append(first...first)
          continue
        }
        position += 1
        guard case .scalar(let last) = try classItem() else {
          throw .malformed("has a class as the end of a range")
        }
        guard first <= last else { throw .malformed("has a range that ends before it starts") }
        ranges.append(first...last)
      }
    }
    let part = ScalarSet(ranges)
    return (intersection?.intersection(part) ?? part, isNegated)
  }

  /// Whether a "]" at the start of a class can be one of its characters.
  private var hasLaterEndOfClass: Bool { scalars[(position + 1)...].contains("]") }

  private enum ClassItem {
    case scalar(UInt32)
    case set(ScalarSet)
  }

  /// One scalar or set of a class.
  private mutating func classItem() throws(RegularExpressionError) -> ClassItem {
    guard let scalar = next else { throw .malformed("has a class without end") }
    position += 1
    switch scalar {
    case "[":
      if next == ":", let set = try posixBracket() { return .set(set) }
      let (set, isNegated) = try nested { (parser) throws(RegularExpressionError) in
        try parser.characterClass()
      }
      return .set(isNegated ? set.inverted : set)
    case "\\":
      if let set = try classEscape(inClass: true) { return .set(set) }
      guard let name = next else { throw .malformed("ends in a backslash") }
      switch name {
      case "b":
        position += 1
        return .scalar(0x08)
      case "R", "X", "N", "O", "1"..."9": throw .unsupported("a class with \\\(name)")
      default: return .scalar(try scalarEscape())
      }
    default: return .scalar(scalar.value)
    }
  }

  /// `[:name:]`, whose "[" has been read; nil, with nothing read, if it is a class of another kind.
  private mutating func posixBracket() throws(RegularExpressionError) -> ScalarSet? {
    let start = position
    position += 1
    let isNegated = skip("^")
    var name = ""
    while let scalar = next, scalar.properties.isAlphabetic {
      name.unicodeScalars.append(scalar)
      position += 1
    }
    guard skip(":]") else {
      position = start
      return nil
    }
    guard let set = ScalarSet.posixClass(name) else {
      throw .malformed("has an unknown class [:\(name):]")
    }
    return isNegated ? set.inverted : set
  }
}
