extension RegularExpressionParser {
  /// What the escape whose backslash has been read matches, outside of a class.
  mutating func escape() throws(RegularExpressionError) -> RegularExpressionNode {
    guard let scalar = next else { throw .malformed("ends in a backslash") }
    switch scalar {
    case "A": return assertion(.lookBehind(.none, orStart: true, isNegated: false))
    case "z": return assertion(.end)
    case "Z":
      return assertion(
        .alternation([.end, .lookAhead(.sequence([.set(.lineFeed), .end]), isNegated: false)]))
    case "b": return assertion(wordBoundary(isNegated: false))
    case "B": return assertion(wordBoundary(isNegated: true))
    case "R":
      // Atomic: a carriage return before a line feed is never alone.
      let pair = RegularExpressionNode.literal("\r\n")
      return assertion(
        .alternation([
          pair, .sequence([.lookAhead(pair, isNegated: true), .set(.lineBreaks)]),
        ]))
    case "N": return assertion(.set(ScalarSet.lineFeed.inverted))
    case "O": return assertion(.set(.all))
    case "1"..."9", "k": throw .unsupported("a back reference \\\(scalar)")
    case "g": throw .unsupported("a call of a group \\g")
    case "G", "K", "X", "y", "Y": throw .unsupported("\\\(scalar)")
    default:
      if let set = try classEscape(inClass: false) { return .set(set) }
      return try literal(scalarEscape())
    }
  }

  /// `node`, after the one scalar that names it.
  private mutating func assertion(_ node: RegularExpressionNode) -> RegularExpressionNode {
    position += 1
    return node
  }

  private func wordBoundary(isNegated: Bool) -> RegularExpressionNode {
    let word = RegularExpressionNode.set(.wordOutsideClass)
    func side(after: Bool, before: Bool) -> RegularExpressionNode {
      .sequence([
        .lookBehind(.wordOutsideClass, orStart: false, isNegated: !after),
        .lookAhead(word, isNegated: !before),
      ])
    }
    return .alternation([
      side(after: true, before: isNegated), side(after: false, before: !isNegated),
    ])
  }

  /// The set of an escape that stands for a class, or nil if the escape is another.
  mutating func classEscape(inClass: Bool) throws(RegularExpressionError) -> ScalarSet? {
    guard let scalar = next else { return nil }
    let word = inClass ? ScalarSet.word : .wordOutsideClass
    let set: ScalarSet
    switch scalar {
    case "s": set = .whiteSpace
    case "S": set = ScalarSet.whiteSpace.inverted
    case "d": set = .decimalDigits
    case "D": set = ScalarSet.decimalDigits.inverted
    case "w": set = word
    case "W": set = word.inverted
    case "h": set = .hexadecimalDigits
    case "H": set = ScalarSet.hexadecimalDigits.inverted
    case "p" where peek(1) == "{", "P" where peek(1) == "{":
      position += 2
      let isNegated = skip("^")
      let name = try text(until: "}", in: "a property")
      let named = try ScalarSet.property(name)
      let property = named == .word ? word : named
      return isNegated == (scalar == "P") ? property : property.inverted
    default: return nil
    }
    position += 1
    return set
  }

  /// The scalar of an escape that stands for one.
  mutating func scalarEscape() throws(RegularExpressionError) -> UInt32 {
    guard let scalar = next else { throw .malformed("ends in a backslash") }
    position += 1
    switch scalar {
    case "t": return 0x09
    case "n": return 0x0A
    case "v": return 0x0B
    case "f": return 0x0C
    case "r": return 0x0D
    case "a": return 0x07
    case "e": return 0x1B
    case "0": return try value(digits: 0...2, radix: 8)
    case "u": return try value(digits: 4...4, radix: 16)
    case "x":
      if skip("{") {
        let value = try value(digits: 1...8, radix: 16)
        guard skip("}") else { throw .unsupported("an escape \\x{...} that is not one number") }
        return value
      }
      let value = try value(digits: 1...2, radix: 16)
      guard value < 0x80 else { throw .unsupported("an escape \\x of a single byte") }
      return value
    case "c", "C", "M": throw .unsupported("a control character \\\(scalar)")
    default: return scalar.value
    }
  }

  private mutating func value(
    digits: ClosedRange<Int>, radix: UInt32
  ) throws(RegularExpressionError) -> UInt32 {
    var result: UInt32 = 0
    var count = 0
    while count < digits.upperBound, let scalar = next,
      let digit = Character(scalar).hexDigitValue, digit < radix, scalar.isASCII
    {
      result = result << (radix == 8 ? 3 : 4) | UInt32(digit)
      position += 1
      count += 1
    }
    guard count >= digits.lowerBound, Unicode.Scalar(result) != nil else {
      throw .malformed("has an escape of a character that does not exist")
    }
    return result
  }

  /// Reads up to `end`, which is read too.
  mutating func text(
    until end: Unicode.Scalar, in what: String
  ) throws(RegularExpressionError) -> String {
    var result = String.UnicodeScalarView()
    while let scalar = next {
      position += 1
      if scalar == end { return String(result) }
      result.append(scalar)
    }
    throw .malformed("has \(what) without end")
  }
}
