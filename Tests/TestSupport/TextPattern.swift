package import DuetRuntime

/// A text that repeats a few units, on which splitters by regular expressions fail.
package struct TextPattern: Sendable {
  /// The name of the units.
  package let name: String
  private let units: [String]

  /// The twelve kinds of run.
  package static let all: [TextPattern] = [
    TextPattern(name: "A", units: ["A"]), TextPattern(name: "space", units: [" "]),
    TextPattern(name: "line feed", units: ["\n"]), TextPattern(name: "full stop", units: ["."]),
    TextPattern(name: "zero", units: ["0"]), TextPattern(name: "e acute", units: ["\u{E9}"]),
    TextPattern(name: "CJK", units: ["\u{6771}"]), TextPattern(name: "emoji", units: ["\u{1F999}"]),
    TextPattern(name: "joiner", units: ["\u{200D}"]), TextPattern(name: "us", units: ["us"]),
    TextPattern(
      name: "mixed", units: ["a", " ", "1", "\n", ".", "\u{E9}", "  ", "'s", "\u{6771}"]),
    TextPattern(name: "NUL", units: ["\u{0}"]),
  ]

  /// The text of `count` units, as UTF-8.
  package func text(_ count: Int) -> [UInt8] {
    let encoded = units.map { Array($0.utf8) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count * 4)
    for index in 0..<count { bytes += encoded[index % encoded.count] }
    return bytes
  }
}

/// Random texts from one of six alphabets.
package enum RandomText {
  /// ASCII; letters and blanks; digits and signs; Latin, Greek and Cyrillic; CJK, emoji and
  /// joiners; all scalars.
  private static let alphabets: [[ClosedRange<UInt32>]] = [
    [0x00...0x7F], [0x61...0x7A, 0x20...0x20, 0x41...0x5A, 0x0A...0x0A, 0x27...0x27],
    [0x30...0x39, 0x21...0x2F, 0x5B...0x60, 0x20...0x20], [0xA0...0x52F, 0x300...0x36F],
    [0x4E00...0x4FFF, 0x1F300...0x1F9FF, 0x200C...0x200D, 0xFE0F...0xFE0F, 0x3040...0x30FF],
    [0x00...0xD7FF, 0xE000...0x10FFFF],
  ]

  /// A text of 0 to 31 scalars.
  package static func next(using generator: inout RandomGenerator) -> [UInt8] {
    let alphabet = alphabets[Int(generator.next() % UInt64(alphabets.count))]
    var text = ""
    for _ in 0..<(generator.next() % 32) {
      let range = alphabet[Int(generator.next() % UInt64(alphabet.count))]
      let value = range.lowerBound + UInt32(generator.next() % UInt64(range.count))
      if let scalar = Unicode.Scalar(value) { text.unicodeScalars.append(scalar) }
    }
    return Array(text.utf8)
  }
}
