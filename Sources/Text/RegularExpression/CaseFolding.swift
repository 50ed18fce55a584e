/// The scalars that differ in case only.
package enum CaseFolding {
  /// The set with every scalar that differs from one of its own in case only.
  package static func closure(of set: ScalarSet) -> ScalarSet {
    var added: [ClosedRange<UInt32>] = []
    for (value, others) in equivalents where set.contains(value) {
      for other in others { added.append(other...other) }
    }
    return added.isEmpty ? set : ScalarSet(set.ranges + added)
  }

  /// For each scalar that has one: the others of its case.
  ///
  /// The standard library has no table of case folding, but two scalars fold to the same one
  /// exactly if the mappings to single scalars of upper, lower and title case connect them; a test
  /// compares them with those of the reference. The dotless i is the exception: it is nobody's
  /// equal, though its upper case is I.
  private static let equivalents: [(UInt32, [UInt32])] = {
    var groupOf: [UInt32: Int] = [:]
    var groups: [[UInt32]] = []
    func join(_ first: UInt32, _ second: UInt32) {
      switch (groupOf[first], groupOf[second]) {
      case (nil, nil):
        groupOf[first] = groups.count
        groupOf[second] = groups.count
        groups.append([first, second])
      case (let group?, nil):
        groupOf[second] = group
        groups[group].append(second)
      case (nil, let group?):
        groupOf[first] = group
        groups[group].append(first)
      case (let group?, let other?) where group != other:
        for value in groups[other] { groupOf[value] = group }
        groups[group] += groups[other]
        groups[other] = []
      default: break
      }
    }
    // They have no mapping to single scalars, but map to the same letters.
    join(0x0390, 0x1FD3)
    join(0x03B0, 0x1FE3)
    join(0xFB05, 0xFB06)
    let cased = ScalarSet {
      $0.changesWhenUppercased || $0.changesWhenLowercased || $0.changesWhenTitlecased
    }
    for range in cased.ranges {
      for value in range where value != dotlessI {
        guard let properties = Unicode.Scalar(value)?.properties else { continue }
        for mapping in [
          properties.lowercaseMapping, properties.uppercaseMapping, properties.titlecaseMapping,
        ] {
          let scalars = mapping.unicodeScalars
          if scalars.count == 1, let other = scalars.first?.value, other != value,
            cased.contains(other)
          {
            join(value, other)
          }
        }
      }
    }
    return groups.flatMap { group in group.map { value in (value, group.filter { $0 != value }) } }
  }()

  private static let dotlessI: UInt32 = 0x131

  // MARK: - Scalars that fold to more than one

  /// The scalars that are several letters in another case, as "ß" is "SS", with these letters, each
  /// by the least scalar of its case.
  private static let expansions: [(value: UInt32, letters: [UInt32])] = {
    let changing = ScalarSet { $0.changesWhenUppercased || $0.changesWhenLowercased }
    var result: [(UInt32, [UInt32])] = []
    for value in changing.ranges.joined() {
      guard let scalar = Unicode.Scalar(value) else { continue }
      let letters = String(scalar).uppercased().lowercased().unicodeScalars.map(\.value)
      if letters.count > 1 {
        result.append((value, letters.map { closure(of: ScalarSet($0)).ranges[0].lowerBound }))
      }
    }
    return result
  }()

  /// Refuses a set, to be matched in any case, that holds a scalar that is also several letters.
  static func refuseExpansion(of set: ScalarSet) throws(RegularExpressionError) {
    if let (value, _) = expansions.first(where: { set.contains($0.value) }) {
      throw refusal(value)
    }
  }

  /// Refuses a text, to be matched in any case, whose end is also a single letter.
  ///
  /// - Parameter text: Each letter by the least scalar of its case.
  /// - Throws: `RegularExpressionError.unsupported`.
  static func refuseExpansion(endOf text: [UInt32]) throws(RegularExpressionError) {
    for (value, letters) in expansions where letters.count <= text.count {
      if text.suffix(letters.count).elementsEqual(letters) { throw refusal(value) }
    }
  }

  private static func refusal(_ value: UInt32) -> RegularExpressionError {
    let letter = Unicode.Scalar(value).map(String.init) ?? ""
    let text = letter.uppercased()
    return .unsupported("\"\(letter)\" or \"\(text)\" in any case, of which one is several letters")
  }
}
