import DuetText
import Foundation
import TestSupport
import Testing

/// What the reference makes of each scalar; written by `Scripts/golden/pretokenizers.py`.
private struct GoldenScalars: Decodable {
  /// Ranges of values by the name of a property.
  let properties: [String: [[UInt32]]]
  /// Scalars that differ in case only.
  let cases: [String]

  static func read() throws -> GoldenScalars {
    let path = SharedData.project("Tests/Golden/pretokenizers/scalars.json")
    return try JSONDecoder().decode(
      GoldenScalars.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
  }
}

@Suite("Sets of scalars")
struct ScalarSetTests {
  /// The ranges without the surrogates, which are no scalars.
  private func ranges(_ set: ScalarSet) -> [[UInt32]] {
    set.ranges.flatMap { range -> [[UInt32]] in
      let (first, last) = (range.lowerBound, range.upperBound)
      let parts = [[first, min(last, 0xD7FF)], [max(first, 0xE000), last]]
      return parts.filter { $0[0] <= $0[1] }
    }
  }

  @Test("properties are those of the reference, scalar by scalar")
  func propertiesAgree() throws {
    for (name, expected) in try GoldenScalars.read().properties {
      let set: ScalarSet
      switch name {
      case "Punctuation": set = .stepPunctuation
      case "\\w": set = .wordOutsideClass
      case _ where name.hasPrefix("["):
        set = try #require(ScalarSet.posixClass(String(name.dropFirst(2).dropLast(2))))
      default: set = try ScalarSet.property(name)
      }
      // Ranges in the file are cut at the surrogates too.
      let cut = ranges(ScalarSet(expected.map { $0[0]...$0[1] }))
      #expect(ranges(set) == cut, "\(name)")
    }
  }

  @Test("letters that differ in case only are those of the reference")
  func casesAgree() throws {
    let groups = try GoldenScalars.read().cases
    #expect(groups.count > 1000)
    for group in groups {
      let values = group.unicodeScalars.map { $0.value...$0.value }
      for value in values {
        #expect(CaseFolding.closure(of: ScalarSet([value])) == ScalarSet(values), "\(group)")
      }
    }
  }
}
