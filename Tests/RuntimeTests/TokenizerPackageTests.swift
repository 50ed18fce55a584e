import DuetText
import Foundation
import TestSupport
import Testing

/// A small tokenizer in Tests/Golden/tokenizers and what the Python packages make of texts with it.
///
/// Scripts/golden/tokenizers.py makes them.
struct GoldenTokenizer: Sendable, CustomTestStringConvertible {
  /// One line of expected.jsonl.
  struct Line: Decodable {
    let text: String
    let ids: [Int]
    let idsWithSpecial: [Int]?
    let decoded: String?

    enum CodingKeys: String, CodingKey {
      case text, ids, decoded
      case idsWithSpecial = "ids_with_special"
    }
  }

  static let folder = SharedData.project("Tests/Golden/tokenizers")
  static let all = [
    "unigram-bytes", "unigram-unknown", "pairs-dropped", "pairs-fused", "byte-level-dropped",
  ]
  .map(GoldenTokenizer.init)
  static let ofSentencePiece = [
    "spm-pairs-nfkc", "spm-pairs-spaces", "spm-pairs-unknown", "spm-unigram-nfkc",
    "spm-unigram-bytes", "spm-unigram-spaces",
  ].map(GoldenTokenizer.init)
  static let withAddedTokens = ["added-tokens-file", "legacy-false", "legacy-true", "no-prefix"]
    .map(GoldenTokenizer.init)

  let name: String

  var testDescription: String { name }
  var path: String { "\(Self.folder)/\(name)" }

  func lines() throws -> [Line] {
    let data = try Data(contentsOf: URL(fileURLWithPath: "\(path)/expected.jsonl"))
    return try data.split(separator: UInt8(ascii: "\n")).map {
      try JSONDecoder().decode(Line.self, from: $0)
    }
  }
}

@Suite("Tokenizers against the Python packages")
struct TokenizerPackageTests {
  @Test(
    "ids and texts are those of the packages",
    arguments: GoldenTokenizer.all + GoldenTokenizer.ofSentencePiece
      + GoldenTokenizer.withAddedTokens)
  func agreesWithThePackages(golden: GoldenTokenizer) throws {
    let tokenizer = try Tokenizer(contentsOf: golden.path)
    let lines = try golden.lines()
    #expect(lines.count > 50)
    for line in lines {
      let label = Comment(rawValue: line.text.debugDescription)
      #expect(tokenizer.encode(line.text, addingSpecialTokens: false) == line.ids, label)
      #expect(tokenizer.encode(line.text) == line.idsWithSpecial ?? line.ids, label)
      if let decoded = line.decoded {
        #expect(Array(tokenizer.decode(line.ids).utf8) == Array(decoded.utf8), label)
      }
    }
  }

  @Test(
    "the tags of content change no id",
    arguments: GoldenTokenizer.all + GoldenTokenizer.ofSentencePiece)
  func contentChangesNoID(golden: GoldenTokenizer) throws {
    let tokenizer = try Tokenizer(contentsOf: golden.path)
    let contents = tokenizer.addedTokens.map(\.content)
    for line in try golden.lines() where !contents.contains(where: line.text.contains) {
      // Added tokens that only the normalized text spells stay text in content.
      guard tokenizer.addedTokens.allSatisfy({ !line.ids.contains($0.id) || $0.id == 0 }) else {
        continue
      }
      let scalars = Array(line.text.unicodeScalars)
      for border in Set([0, scalars.count / 3, scalars.count]) {
        var segments = [
          TextSegment("", isContent: true), TextSegment("", isContent: border % 2 == 0),
        ]
        segments[0].text.unicodeScalars.append(contentsOf: scalars[..<border])
        segments[1].text.unicodeScalars.append(contentsOf: scalars[border...])
        #expect(
          tokenizer.encode(segments) == line.ids, Comment(rawValue: line.text.debugDescription))
      }
    }
  }

  @Test("bytes that the vocabulary cannot express are counted")
  func countsDroppedBytes() throws {
    let tokenizer = try Tokenizer(contentsOf: "\(GoldenTokenizer.folder)/byte-level-dropped")
    #expect(tokenizer.encode("the cat").count == 7)
    #expect(tokenizer.droppedByteCount == 0)
    // There is no piece for q, Z, a line feed and the byte C3.
    let ids = tokenizer.encode("aqZ\né")
    #expect(ids.compactMap { tokenizer.piece($0) } == [Array("a".utf8), Array("\u{A9}".utf8)])
    #expect(tokenizer.droppedByteCount == 4)
    // A long word is counted once, however often its windows are begun again.
    _ = tokenizer.encode(String(repeating: "q", count: 10_000))
    #expect(tokenizer.droppedByteCount == 10_004)

    let pairs = try Tokenizer(contentsOf: "\(GoldenTokenizer.folder)/pairs-dropped")
    _ = pairs.encode("the \u{10FFFF}")
    #expect(pairs.droppedByteCount == 4)
    let whole = try Tokenizer(contentsOf: "\(GoldenTokenizer.folder)/unigram-bytes")
    _ = whole.encode("the \u{10FFFF}")
    #expect(whole.droppedByteCount == 0)
  }

  @Test("the size of the windows changes no token of a unigram model")
  func windowsChangeNoToken() throws {
    for golden in ["unigram-bytes", "unigram-unknown"] {
      let tokenizer = try Tokenizer(contentsOf: "\(GoldenTokenizer.folder)/\(golden)")
      let words = ["the cat sat 日本 on\u{2581}the mat, ", "\u{10FFFF}", "aaab", "é"].map {
        Array(String(repeating: $0, count: 40).utf8)
      }
      for word in words {
        let whole = tokenizer.encodeWord(word, windowSize: .max / 4)
        for size in [1, 2, 7, 64, 1000] {
          #expect(tokenizer.encodeWord(word, windowSize: size) == whole)
        }
      }
    }
  }
}
