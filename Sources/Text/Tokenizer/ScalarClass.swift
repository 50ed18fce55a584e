/// The class of a Unicode scalar, as far as the splitting patterns distinguish scalars.
///
/// The seven classes are disjoint: no white space is a letter, mark or number.
package enum ScalarClass: UInt8, Sendable {
  /// None of the other classes: punctuation, symbols, controls, unassigned.
  case other
  /// `\p{Lu}` or `\p{Lt}`.
  case upperCaseLetter
  /// `\p{Ll}`.
  case lowerCaseLetter
  /// `\p{Lm}` or `\p{Lo}`.
  case otherLetter
  /// `\p{M}`.
  case mark
  /// `\p{N}`: decimal digits, letter numbers and other numbers.
  case number
  /// White_Space, which is `\s` in the engine that the patterns were written for: 25 scalars.
  case whiteSpace

  /// Whether the class is part of `\p{L}`.
  var isLetter: Bool {
    switch self {
    case .upperCaseLetter, .lowerCaseLetter, .otherLetter: true
    default: false
    }
  }

  /// Whether the class is `[^\s\p{L}\p{N}]`.
  var isSymbol: Bool { self == .other || self == .mark }

  /// The class of the scalar with the given value; `other` for values that are no scalar.
  package static func of(_ value: UInt32) -> ScalarClass {
    if value < table.count { return table[Int(value)] }
    // Above the table, all scalars except the variation selectors are `other`.
    return variationSelectors.contains(value) ? .mark : .other
  }

  /// The variation selectors of plane 14, all marks.
  private static let variationSelectors: ClosedRange<UInt32> = 0xE0100...0xE01EF

  /// The classes of planes 0 to 3, one byte each.
  ///
  /// Planes 4 to 13 are unassigned and 15 and 16 private use; `of(_:)` handles plane 14. A test
  /// compares the whole range with the standard library.
  private static let table: [ScalarClass] = {
    var result = [ScalarClass](repeating: .other, count: 0x40000)
    for value in result.indices {
      if let scalar = Unicode.Scalar(UInt32(value)) {
        result[value] = ScalarClass(scalar)
      }
    }
    return result
  }()

  /// The class according to the Unicode data of the reference.
  package init(_ scalar: Unicode.Scalar) {
    switch scalar.referenceCategory {
    case .uppercaseLetter, .titlecaseLetter: self = .upperCaseLetter
    case .lowercaseLetter: self = .lowerCaseLetter
    case .modifierLetter, .otherLetter: self = .otherLetter
    case .nonspacingMark, .spacingMark, .enclosingMark: self = .mark
    case .decimalNumber, .letterNumber, .otherNumber: self = .number
    default: self = scalar.properties.isWhitespace ? .whiteSpace : .other
    }
  }
}
