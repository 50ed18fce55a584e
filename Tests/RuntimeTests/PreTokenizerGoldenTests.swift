import DuetText
import Foundation
import TestSupport
import Testing

/// The pieces that the package tokenizers makes of some texts with one pre-tokenizer; written by
/// `Scripts/golden/pretokenizers.py`.
struct GoldenPieces: Decodable {
  let name: String
  let texts: [String]
  let pieces: [[String]]

  /// The cases of a file, each with the JSON of its pre-tokenizer.
  static func all(ofFile path: String) throws -> [(GoldenPieces, preTokenizer: Any)] {
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    let cases = try JSONDecoder().decode([GoldenPieces].self, from: data)
    let objects = try #require(JSONSerialization.jsonObject(with: data) as? [[String: Any]])
    return try zip(cases, objects).map { ($0, try #require($1["pre_tokenizer"])) }
  }
}

@Suite("Pre-tokenizers against the reference")
struct PreTokenizerGoldenTests {
  /// The character in which a byte-level vocabulary writes each byte.
  private static let characters: [Unicode.Scalar] = {
    let plain = [0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF].flatMap(Array.init)
    var next: UInt32 = 0xFF
    return (0..<256).map { byte in
      if !plain.contains(byte) { next += 1 }
      return Unicode.Scalar(plain.contains(byte) ? UInt32(byte) : next) ?? " "
    }
  }()

  private func spelled(_ word: [UInt8]) -> [UInt8] {
    var text = String.UnicodeScalarView()
    for byte in word { text.append(Self.characters[Int(byte)]) }
    return Array(String(text).utf8)
  }

  @Test(
    "pieces are those of the reference",
    arguments: ["steps", "pipelines", "expressions", "random"])
  func agreesWithTheReference(file: String) throws {
    let path = SharedData.project("Tests/Golden/pretokenizers/\(file).json")
    let cases = try GoldenPieces.all(ofFile: path)
    #expect(cases.count > 40)
    for (golden, preTokenizer) in cases {
      let isByteLevel = "\(preTokenizer)".contains("ByteLevel")
      var object =
        isByteLevel
        ? TokenizerFixture.byteLevel(pattern: "a") : TokenizerFixture.sentencePiece()
      object["pre_tokenizer"] = preTokenizer
      let tokenizer = try TokenizerFixture.tokenizer(object)
      for (text, pieces) in zip(golden.texts, golden.pieces) {
        let words = tokenizer.words(of: text)
        let found = isByteLevel ? words.map(spelled) : words
        #expect(
          found == pieces.map { Array($0.utf8) },
          """
          \(golden.name) on \(text.debugDescription): \
          \(found.map { String(decoding: $0, as: UTF8.self) }) instead of \(pieces)
          """)
      }
    }
  }
}
