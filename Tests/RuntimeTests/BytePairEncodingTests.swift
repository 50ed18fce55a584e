import DuetRuntime
import TestSupport
import Testing

/// Byte-pair encoding by its definition, from the merges as the file lists them.
private struct NaiveEncoder {
  var ids: [[UInt8]: Int] = [:]
  var ranks: [[[UInt8]]: Int] = [:]

  init(folder: String) throws {
    let document = try JSONDocument(
      contentsOf: "\(folder)/tokenizer.json", limits: .tokenizer)
    let model = try #require(document.root["model"])
    for member in try #require(model["vocab"]?.members) { ids[member.key] = member.value.int }
    for (rank, merge) in try #require(model["merges"]?.elements).enumerated() {
      let parts: [[UInt8]]
      if let text = merge.utf8 {
        parts = text.split(separator: UInt8(ascii: " ")).map(Array.init)
      } else {
        parts = merge.elements?.compactMap(\.utf8) ?? []
      }
      ranks[parts] = rank
    }
  }

  /// The ids of the symbols after merging the lowest pair, the leftmost among equals, until none is
  /// left.
  func encode(_ symbols: [[UInt8]]) -> [Int] {
    var symbols = symbols
    while true {
      var best: (rank: Int, index: Int)?
      for index in symbols.indices.dropLast() {
        if let rank = ranks[[symbols[index], symbols[index + 1]]], rank < best?.rank ?? .max {
          best = (rank, index)
        }
      }
      guard let (_, index) = best else { return symbols.compactMap { ids[$0] } }
      symbols.replaceSubrange(index...index + 1, with: [symbols[index] + symbols[index + 1]])
    }
  }
}

@Suite struct BytePairEncodingTests {
  private static let fragments = [
    "the", "and", "a", "aa", "e", "in", "er", "ing", "story", "little", "One", "day", "girl", "s",
    "z", "q", "x", "Once", "upon", "1", "0", "é", ".", ",", "Lily", "ss", "ll", "oo", "tt",
  ]

  private static func text(seed: UInt64, count: Int) -> String {
    var generator = RandomGenerator(seed: seed)
    var text = ""
    // Half of the texts are runs of few fragments, whose merges depend on far ones.
    let choices = seed % 2 == 0 ? fragments : [fragments.randomElement(using: &generator) ?? "a"]
    while text.utf8.count < count {
      text += choices.randomElement(using: &generator) ?? "a"
      if Int.random(in: 0..<20, using: &generator) == 0 { text += "b" }
    }
    return text
  }

  @Test(arguments: 0..<30 as Range<UInt64>)
  func windowsChangeNothingByteLevel(seed: UInt64) throws {
    let folder = SharedData.project("models/stories")
    let tokenizer = try Tokenizer(contentsOf: folder)
    let naive = try NaiveEncoder(folder: folder)
    let text = Self.text(seed: seed, count: 300)
    // These bytes (ASCII, and C3 A9 for "é") are spelled by the code points of the same number.
    let symbols = text.utf8.map { byte in
      byte < 0x80 ? [byte] : Array(String(Unicode.Scalar(byte)).utf8)
    }
    let expected = naive.encode(symbols)
    for size in [2, 3, 8, 32, 100, 1024] {
      #expect(tokenizer.encodeWord(Array(text.utf8), windowSize: size) == expected, "\(text)")
    }
  }

  @Test(
    .enabled(if: SharedTokenizers.arePresent, "../shared is absent"),
    arguments: SharedTokenizers.sentencePieceNames)
  func windowsChangeNothingSentencePiece(name: String) throws {
    let folder = try #require(SharedData.path("tokenizers/\(name)"))
    let tokenizer = try SharedTokenizers.named(name)
    let naive = try NaiveEncoder(folder: folder)
    for seed in 0..<30 as Range<UInt64> {
      let text = "\u{2581}" + Self.text(seed: seed, count: 300)
      let expected = naive.encode(text.unicodeScalars.map { Array(String($0).utf8) })
      for size in [2, 3, 8, 32, 100, 1024] {
        #expect(tokenizer.encodeWord(Array(text.utf8), windowSize: size) == expected, "\(text)")
      }
    }
  }

  @Test(
    .enabled(if: SharedTokenizers.arePresent, "../shared is absent"),
    arguments: SharedTokenizers.names)
  func windowsChangeNothingInLongWords(name: String) throws {
    let tokenizer = try SharedTokenizers.named(name)
    for text in ["a", "us", " ", "\u{2581}", "ab", "=", "東京", "🦙", "aab"]
      .map({ String(repeating: $0, count: 20_000) }) + [Self.text(seed: 0, count: 50_000)]
    {
      let word = Array(text.utf8)
      let whole = tokenizer.encodeWord(word, windowSize: 1 << 24)
      for size in [64, 1024] { #expect(tokenizer.encodeWord(word, windowSize: size) == whole) }
    }
  }

  /// Words of several segments against the same word in one piece; the borders fall into characters of
  /// several bytes and, where the vocabulary has no piece for a character, into unknown text.
  @Test(
    .enabled(if: SharedTokenizers.arePresent, "../shared is absent"),
    arguments: SharedTokenizers.sentencePieceNames)
  func segmentsChangeNothing(name: String) throws {
    let tokenizer = try SharedTokenizers.named(name)
    for unit in ["a", "東京", "🦙x", "thegardenwas"] {
      let text = String(repeating: unit, count: 900_000 / unit.utf8.count)
      let whole = tokenizer.encodeWord(Array("\u{2581}\(text)".utf8), windowSize: 1024)
      #expect(tokenizer.encode(text, addingSpecialTokens: false) == whole, "\(unit)")
    }
  }

  @Test func segmentsChangeNothingByteLevel() throws {
    let tokenizer = try Tokenizer(contentsOf: SharedData.project("models/stories"))
    for unit in ["a", "é", "onceuponatime"] {
      let text = String(repeating: unit, count: 900_000 / unit.utf8.count)
      let whole = tokenizer.encodeWord(Array(text.utf8), windowSize: 1024)
      #expect(tokenizer.encode(text, addingSpecialTokens: false) == whole, "\(unit)")
    }
  }

  @Test func unknownTextIsFusedAcrossSegments() throws {
    let tokenizer = try TokenizerFixture.tokenizer(TokenizerFixture.sentencePiece())
    let text = String(repeating: "東", count: 300_000)
    let whole = tokenizer.encodeWord(Array("\u{2581}\(text)".utf8), windowSize: 1024)
    #expect(tokenizer.encode(text, addingSpecialTokens: false) == whole)
  }

  @Test func mergesLeftmostFirstAmongEquals() throws {
    let tokenizer = try TokenizerFixture.tokenizer(TokenizerFixture.sentencePiece())
    func id(_ piece: String) -> Int? { tokenizer.token(piece) }
    #expect(tokenizer.encodeWord(Array("aaa".utf8), windowSize: 64) == [id("aa"), id("a")])
    #expect(tokenizer.encode("abc", addingSpecialTokens: false) == [id("\u{2581}"), id("abc")])
    #expect(tokenizer.encode("ab", addingSpecialTokens: false) == [id("\u{2581}ab")])
  }
}
