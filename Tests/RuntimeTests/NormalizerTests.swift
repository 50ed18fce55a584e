import DuetSystem
import DuetText
import Foundation
import TestSupport
import Testing

@Suite("Normalizers")
struct NormalizerTests {
  static let plain = [
    "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Strip", "StripAccents", "Nmt", "ByteLevel",
  ]

  /// A tokenizer with one normalizer.
  private static func tokenizer(_ normalizer: TokenizerFixture.Object) throws -> Tokenizer {
    var object = TokenizerFixture.sentencePiece()
    object["normalizer"] = normalizer
    return try TokenizerFixture.tokenizer(object)
  }

  private static func golden() throws -> [String: Any] {
    let path = "\(GoldenTokenizer.folder)/normalization.json"
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    return try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
  }

  private static func precompiled() throws -> TokenizerFixture.Object {
    let path = "\(GoldenTokenizer.folder)/unigram-unknown/tokenizer.json"
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    let object = try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
    let sequence = try #require(object["normalizer"] as? [String: Any])
    return try #require((sequence["normalizers"] as? [[String: Any]])?.first)
  }

  @Test("texts become those of the package", arguments: plain + ["Precompiled"])
  func agreesWithThePackage(name: String) throws {
    let golden = try Self.golden()
    let normalizer = name == "Precompiled" ? try Self.precompiled() : ["type": name]
    let tokenizer = try Self.tokenizer(normalizer)
    for (source, target) in [("texts", name), ("mixed", "\(name) of mixed")] {
      guard let expected = golden[target] as? [String] else { continue }
      let texts = try #require(golden[source] as? [String])
      #expect(texts.count == expected.count)
      for (text, changed) in zip(texts, expected) {
        #expect(
          tokenizer.normalized(text) == Array(changed.utf8),
          Comment(rawValue: text.debugDescription))
      }
    }
  }

  @Test(
    "every scalar becomes what the package makes of it",
    arguments: plain.filter { $0 != "StripAccents" } + ["Precompiled"])
  func everyScalarAgrees(name: String) throws {
    let digest = try #require(Self.golden()["\(name) of every scalar"] as? String)
    let normalizer = name == "Precompiled" ? try Self.precompiled() : ["type": name]
    let tokenizer = try Self.tokenizer(normalizer)
    var bytes: [UInt8] = []
    for value in Array(0..<UInt32(0x30000)) + Array(0xE0000..<0xE0200) {
      guard let scalar = Unicode.Scalar(value) else { continue }
      bytes += tokenizer.normalized(String(scalar)) + [UInt8(ascii: "\n")]
    }
    #expect(SHA256.hexadecimalDigest(of: bytes) == digest)
  }

  /// What `normalizers.Replace(Regex(pattern), content)` of tokenizers 0.23.3 makes of a text.
  @Test(
    "matches of an expression are replaced as in the package",
    arguments: [
      (" {2,}", "_", "a  b   c d", "a_b_c d"), (#"\s+"#, " ", "  x\n\ty  ", " x y "),
      ("x*", "-", "axxb", "-a-b-"), ("(?i:É)", "e", "cafÉ é", "cafe e"), ("[^a]", "", "abca", "aa"),
      ("^", ">", "ab", ">ab"), ("", ".", "ab", ".a.b."),
    ])
  func replacesMatches(pattern: String, content: String, text: String, expected: String) throws {
    let tokenizer = try Self.tokenizer([
      "type": "Replace", "pattern": ["Regex": pattern], "content": content,
    ])
    #expect(tokenizer.normalized(text) == Array(expected.utf8))
  }

  @Test("a sequence may be nested, and a step without effect may be anywhere")
  func nestsSequences() throws {
    let tokenizer = try Self.tokenizer([
      "type": "Sequence",
      "normalizers": [
        ["type": "Sequence", "normalizers": []],
        [
          "type": "Sequence",
          "normalizers": [["type": "NFKC"], ["type": "Strip", "strip_left": false]],
        ], ["type": "Prepend", "prepend": "_"],
      ],
    ])
    #expect(tokenizer.normalized(" ﬁ ") == Array("_ fi".utf8))
    #expect(tokenizer.normalized("") == [])
  }

  @Test("long runs of combining marks take linear time or little more")
  func orders() throws {
    let tokenizer = try Self.tokenizer(["type": "NFC"])
    // Below, above, below, ...: all marks below come first.
    let marks = String(repeating: "\u{301}\u{323}", count: 100_000)
    let expected =
      "a" + String(repeating: "\u{323}", count: 99_999)
      + String(repeating: "\u{301}", count: 100_000)
    #expect(
      tokenizer.normalized("a\(marks)")
        == Array(expected.replacingCharacters(in: "a", with: "\u{1EA1}").utf8))
  }

  @Test(
    "a malformed character map is refused",
    arguments: ["", "AAAA", "!!!!", "AAAAAAAA", "BAAAAAAAAAA="])
  func refusesMaps(map: String) throws {
    let error = #expect(throws: TokenizerError.self) {
      _ = try Self.tokenizer(["type": "Precompiled", "precompiled_charsmap": map])
    }
    #expect(error?.description.contains("precompiled_charsmap\" should be") == true)
  }
}

extension String {
  fileprivate func replacingCharacters(in first: String, with other: String) -> String {
    // By scalars: with all its marks the letter is one character.
    var result = String.UnicodeScalarView(other.unicodeScalars)
    result.append(contentsOf: unicodeScalars.dropFirst(first.unicodeScalars.count))
    return String(result)
  }
}
