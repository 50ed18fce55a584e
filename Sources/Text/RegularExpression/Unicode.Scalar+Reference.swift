/// The Unicode data of the reference.
///
/// The standard library of a newer toolchain knows scalars that were unassigned when the tables of
/// Oniguruma 6.9 were made. Tokenizers were trained, and are run elsewhere, with these tables. So
/// the later scalars count as unassigned here too; a golden file compares every scalar.
extension Unicode.Scalar {
  /// The version of Unicode: 16.0.
  private static let referenceVersion = (major: 16, minor: 0)

  /// U+0295, a lower-case letter in Unicode 16 and a letter without case in Unicode 17.
  static let pharyngealFricative: UInt32 = 0x295

  /// Whether the scalar is assigned in Unicode 16.
  var isInReference: Bool { properties.age.map { $0 <= Self.referenceVersion } ?? false }

  /// The general category in Unicode 16.
  var referenceCategory: Unicode.GeneralCategory {
    let category = properties.generalCategory
    if category == .unassigned || category == .privateUse { return category }
    if value == Self.pharyngealFricative { return .lowercaseLetter }
    return isInReference ? category : .unassigned
  }
}
