extension ScalarSet {
  /// The scalars with a property, as of Unicode 16.
  ///
  /// - Parameter condition: False for scalars that are unassigned or for private use.
  /// - Complexity: One call for each of the 266,240 scalars of planes 0 to 3 and the start of plane
  ///   14.
  init(where condition: (Unicode.Scalar.Properties) -> Bool) {
    var ranges: [ClosedRange<UInt32>] = []
    var start: UInt32?
    for plane in Self.assignedPlanes {
      for value in plane {
        if let scalar = Unicode.Scalar(value), condition(scalar.properties), scalar.isInReference {
          if start == nil { start = value }
        } else if let first = start {
          ranges.append(first...value - 1)
          start = nil
        }
      }
      if let first = start { ranges.append(first...plane.upperBound) }
      start = nil
    }
    self.init(ranges)
  }

  /// The scalars of the given general categories.
  init(_ categories: Set<Unicode.GeneralCategory>) {
    self.init(Self.categoryRuns.filter { categories.contains($0.category) }.map(\.range))
  }

  /// Where scalars are assigned, apart from those for private use in planes 15 and 16.
  ///
  /// A test compares the whole range with the standard library.
  private static let assignedPlanes: [ClosedRange<UInt32>] = [0...0x3FFFF, 0xE0000...0xE0FFF]

  /// The runs of scalars with the same general category, in order.
  private static let categoryRuns:
    [(range: ClosedRange<UInt32>, category: Unicode.GeneralCategory)] = {
      var runs: [(range: ClosedRange<UInt32>, category: Unicode.GeneralCategory)] = []
      func append(_ range: ClosedRange<UInt32>, _ category: Unicode.GeneralCategory) {
        if let last = runs.last, last.category == category {
          runs[runs.count - 1].range = last.range.lowerBound...range.upperBound
        } else {
          runs.append((range, category))
        }
      }
      for plane in assignedPlanes {
        for value in plane {
          append(value...value, Unicode.Scalar(value)?.referenceCategory ?? .surrogate)
        }
        if plane.lowerBound == 0 { append(0x40000...0xDFFFF, .unassigned) }
      }
      append(0xE1000...0xEFFFF, .unassigned)
      for plane in [0xF_0000, 0x10_0000] as [UInt32] {
        append(plane...plane + 0xFFFD, .privateUse)
        append(plane + 0xFFFE...plane + 0xFFFF, .unassigned)
      }
      return runs
    }()

  // MARK: - Sets that expressions name

  static let lineFeed = ScalarSet(0x0A)
  /// The scalars that start a new line for `\R`, except the pair of carriage return and line feed.
  static let lineBreaks = ScalarSet([0x0A...0x0D, 0x85...0x85, 0x2028...0x2029])
  /// `\s`: White_Space.
  static let whiteSpace = ScalarSet { $0.isWhitespace }
  /// `\d`.
  static let decimalDigits = ScalarSet([.decimalNumber])
  /// `\p{N}`.
  static let numbers = ScalarSet([.decimalNumber, .letterNumber, .otherNumber])
  /// `\h`.
  static let hexadecimalDigits = ScalarSet([0x30...0x39, 0x41...0x46, 0x61...0x66])
  /// `\p{M}`.
  static let marks = ScalarSet([.nonspacingMark, .spacingMark, .enclosingMark])
  static let alphabetic = ScalarSet { $0.isAlphabetic }
  static let uppercase = ScalarSet { $0.isUppercase }
  static let lowercase = ScalarSet { $0.isLowercase }.union(
    ScalarSet(Unicode.Scalar.pharyngealFricative))
  /// `\w` in a class.
  static let word = alphabetic.union(marks).union(decimalDigits)
    .union(ScalarSet([.connectorPunctuation]))
  /// `\w` outside of a class, where Oniguruma counts six digits of Latin-1 as part of words.
  package static let wordOutsideClass = word.union(
    ScalarSet([0xB2...0xB3, 0xB9...0xB9, 0xBC...0xBE]))
  /// `\p{P}`.
  static let punctuation = ScalarSet([
    .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation,
    .initialPunctuation, .finalPunctuation, .otherPunctuation,
  ])
  /// `\p{S}`.
  static let symbols = ScalarSet([.mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol])
}
