extension ScalarSet {
  /// The set that `\p{name}` stands for.
  ///
  /// Known are the general categories, the classes of POSIX, a few binary properties and the
  /// scripts of `scripts`. Upper and lower case, spaces, "-" and "_" make no difference.
  package static func property(_ name: String) throws(RegularExpressionError) -> ScalarSet {
    var key = ""
    for scalar in name.unicodeScalars where !" -_".unicodeScalars.contains(scalar) {
      key += scalar.properties.lowercaseMapping
    }
    if let categories = categories[key] { return ScalarSet(categories) }
    if let script = scripts[key] { return script }
    if key == "punct" { return .punctuation }
    if let set = posixClass(key) { return set }
    switch key {
    case "any": return .all
    case "assigned": return ScalarSet([.unassigned]).inverted
    case "alphabetic": return .alphabetic
    case "whitespace": return .whiteSpace
    case "uppercase": return .uppercase
    case "lowercase": return .lowercase
    case "ideographic": return ScalarSet { $0.isIdeographic }
    case "emoji": return ScalarSet { $0.isEmoji }
    case "emojipresentation": return ScalarSet { $0.isEmojiPresentation }
    default: throw .unsupported("the property \\p{\(name)}")
    }
  }

  /// The set that `[:name:]` stands for, or nil if there is none.
  package static func posixClass(_ name: String) -> ScalarSet? {
    switch name {
    case "alpha": .alphabetic
    case "alnum": ScalarSet.alphabetic.union(.decimalDigits)
    case "word": .word
    case "digit": .decimalDigits
    case "xdigit": .hexadecimalDigits
    case "space": .whiteSpace
    case "blank": ScalarSet([.spaceSeparator]).union(ScalarSet(0x09))
    case "upper": .uppercase
    case "lower": .lowercase
    case "punct": ScalarSet.punctuation.union(.symbols)
    case "cntrl": ScalarSet([.control])
    case "ascii": ScalarSet([0...0x7F])
    case "graph":
      ScalarSet([.control, .unassigned, .surrogate]).union(.whiteSpace).inverted
    case "print":
      ScalarSet([.control, .unassigned, .surrogate]).union(.whiteSpace).inverted
        .union(ScalarSet([.spaceSeparator]))
    default: nil
    }
  }

  /// The general categories by their short and long names, in lower case.
  private static let categories: [String: Set<Unicode.GeneralCategory>] = {
    let groups: [([String], [([String], Unicode.GeneralCategory)])] = [
      (
        ["l", "letter"],
        [
          (["lu", "uppercaseletter"], .uppercaseLetter),
          (["ll", "lowercaseletter"], .lowercaseLetter),
          (["lt", "titlecaseletter"], .titlecaseLetter),
          (["lm", "modifierletter"], .modifierLetter), (["lo", "otherletter"], .otherLetter),
        ]
      ),
      (
        ["m", "mark", "combiningmark"],
        [
          (["mn", "nonspacingmark"], .nonspacingMark), (["mc", "spacingmark"], .spacingMark),
          (["me", "enclosingmark"], .enclosingMark),
        ]
      ),
      (
        ["n", "number"],
        [
          (["nd", "decimalnumber"], .decimalNumber), (["nl", "letternumber"], .letterNumber),
          (["no", "othernumber"], .otherNumber),
        ]
      ),
      (
        ["p", "punctuation"],
        [
          (["pc", "connectorpunctuation"], .connectorPunctuation),
          (["pd", "dashpunctuation"], .dashPunctuation),
          (["ps", "openpunctuation"], .openPunctuation),
          (["pe", "closepunctuation"], .closePunctuation),
          (["pi", "initialpunctuation"], .initialPunctuation),
          (["pf", "finalpunctuation"], .finalPunctuation),
          (["po", "otherpunctuation"], .otherPunctuation),
        ]
      ),
      (
        ["s", "symbol"],
        [
          (["sm", "mathsymbol"], .mathSymbol), (["sc", "currencysymbol"], .currencySymbol),
          (["sk", "modifiersymbol"], .modifierSymbol), (["so", "othersymbol"], .otherSymbol),
        ]
      ),
      (
        ["z", "separator"],
        [
          (["zs", "spaceseparator"], .spaceSeparator), (["zl", "lineseparator"], .lineSeparator),
          (["zp", "paragraphseparator"], .paragraphSeparator),
        ]
      ),
      (
        ["c", "other"],
        [
          (["cc", "control"], .control), (["cf", "format"], .format),
          (["cn", "unassigned"], .unassigned), (["co", "privateuse"], .privateUse),
          (["cs", "surrogate"], .surrogate),
        ]
      ),
    ]
    var result: [String: Set<Unicode.GeneralCategory>] = [
      "lc": [.uppercaseLetter, .lowercaseLetter, .titlecaseLetter],
      "casedletter": [.uppercaseLetter, .lowercaseLetter, .titlecaseLetter],
    ]
    for (names, members) in groups {
      for name in names { result[name] = Set(members.map(\.1)) }
      for (names, category) in members { for name in names { result[name] = [category] } }
    }
    return result
  }()
}
