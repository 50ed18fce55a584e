import DuetRuntime
import DuetText
import Foundation
import TestSupport
import Testing

@Suite("Splitting into words")
struct PreTokenizerTests {
  /// What the patterns treat differently: case, marks, digits of all kinds, spaces, line ends.
  static let alphabet: [String] = [
    "a", "B", "z", "s", "t", "re", "ve", "LL", "'s", "'", "'\u{17F}", "\u{17F}", "\u{2019}", "é",
    "e\u{301}", "\u{301}", "ß", "ǅ", "ʰ", "東", "京", "ع", "न", "ि", "0", "12", "345", "²", "Ⅳ", "٣",
    " ", "  ", "\t", "\n", "\r", "\r\n", "\u{B}", "\u{1C}", "\u{85}", "\u{A0}", "\u{2028}",
    "\u{3000}", "\u{200B}", "\u{200D}", "\u{FEFF}", ".", ",", "!", "-", "_", "/", "//", "<|", "|>",
    "🦙", "👩‍🚀", "🏽", "\u{0}", "\u{10FFFF}", "$", "€", "∑",
  ]

  /// The words of `text` by `pattern`.
  private func words(_ text: String, _ pattern: WordPattern) -> [[UInt8]] {
    let bytes = Array(text.utf8)
    var result: [[UInt8]] = []
    var start = 0
    while start < bytes.count {
      let end = pattern.endOfWord(in: bytes, from: start, to: bytes.count)
      result.append(Array(bytes[start..<end]))
      start = end
    }
    return result
  }

  /// The words by an engine for regular expressions, cut by UTF-16 offsets.
  private func oracle(_ text: String, _ pattern: WordPattern) throws -> [[UInt8]] {
    let expression = try NSRegularExpression(pattern: pattern.regularExpression)
    let units = Array(text.utf16)
    return expression.matches(in: text, range: NSRange(location: 0, length: units.count)).map {
      let range = $0.range.location..<$0.range.location + $0.range.length
      return Array(String(decoding: units[range], as: UTF16.self).utf8)
    }
  }

  @Test(
    "words are those of the regular expression", arguments: WordPattern.allCases,
    0..<40 as Range<UInt64>)
  func agreesWithARegularExpression(pattern: WordPattern, seed: UInt64) throws {
    var generator = RandomGenerator(seed: seed)
    for _ in 0..<25 {
      var text = ""
      for _ in 0..<Int.random(in: 0...30, using: &generator) {
        text += Self.alphabet.randomElement(using: &generator) ?? ""
      }
      #expect(try words(text, pattern) == oracle(text, pattern), "\(text.debugDescription)")
    }
  }

  @Test(
    "words of long runs are those of the regular expression",
    arguments: WordPattern.allCases,
    [
      "A", "a", " ", "\n", ".", "0", "é", "東", "🦙", "\u{200D}", "us", "\u{0}", "\r\n", " \n", "'s",
      "Aa", "ª", "e\u{301}",
    ])
  func longRunsAgreeWithARegularExpression(pattern: WordPattern, unit: String) throws {
    // The oracle loses text in runs of more than about 333,000 scalars.
    for count in [1000, 100_000] {
      let text = "x" + String(repeating: unit, count: count) + "x"
      #expect(try words(text, pattern) == oracle(text, pattern))
    }
  }

  @Test("very long runs lose nothing")
  func veryLongRunsLoseNothing() {
    for unit in ["A", " ", "\n", "0", "🦙", "us", "\u{0}"] {
      let text = String(repeating: unit, count: 1_000_000)
      for pattern in WordPattern.allCases {
        #expect(words(text, pattern).reduce(0) { $0 + $1.count } == text.utf8.count)
      }
    }
  }

  @Test("only exact patterns are known")
  func knowsExactPatternsOnly() {
    for pattern in WordPattern.allCases {
      #expect(WordPattern(regularExpression: pattern.regularExpression) == pattern)
      #expect(WordPattern(regularExpression: pattern.regularExpression + " ") == nil)
    }
    #expect(WordPattern(regularExpression: #"\p{L}+"#) == nil)
  }

  @Test("the table of characters agrees with that of each character")
  func tableAgreesWithTheStandardLibrary() {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for value in UInt32(0)...0x10FFFF {
      guard let scalar = Unicode.Scalar(value) else { continue }
      let scalarClass = ScalarClass.of(value)
      if scalarClass != ScalarClass(scalar) {
        Issue.record("U+\(String(value, radix: 16))")
      }
      hash = (hash ^ UInt64(scalarClass.rawValue)) &* 0x100_0000_01B3
    }
    // FNV-1a over the classes of all scalars in order, which are those of Unicode 16 with any
    // toolchain.
    #expect(hash == 5_975_491_504_488_675_908)
  }
}
