import DuetRuntime
import DuetSystem
import DuetText
import TestSupport
import Testing

/// Byte-pair encoding by its definition, from the merges as the file lists them.
private struct NaiveEncoder {
  var ids: [[UInt8]: Int] = [:]
  var ranks: [[[UInt8]]: Int] = [:]

  init() {}

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

@Suite("Byte pair encoding")
struct BytePairEncodingTests {
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

  @Test("windows change nothing at the level of bytes", arguments: 0..<30 as Range<UInt64>)
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
    "windows change nothing in SentencePiece vocabularies",
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
    "windows change nothing in long words",
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

  /// Vocabularies in which most pairs merge, so that what a text ends with decides on tokens far in front.
  @Test("windows change nothing where most pairs merge", arguments: 0..<40 as Range<UInt64>)
  func windowsChangeNothingInDenseVocabularies(seed: UInt64) throws {
    var generator = RandomGenerator(seed: seed)
    let (file, merges) = Self.denseTokenizer(using: &generator)
    let tokenizer = try TokenizerFixture.tokenizer(file)
    var naive = NaiveEncoder()
    for piece in ["a", "b", "c"] + merges.map({ $0.left + $0.right }) {
      naive.ids[Array(piece.utf8)] = tokenizer.token(piece)
    }
    for (rank, merge) in merges.enumerated() {
      naive.ranks[[Array(merge.left.utf8), Array(merge.right.utf8)]] = rank
    }
    for _ in 0..<5 {
      let letters = (0..<200).map { _ in ["a", "b", "c"].randomElement(using: &generator) ?? "a" }
      let text = letters.joined()
      let expected = naive.encode(text.utf8.map { [$0] })
      for size in [4, 8, 16, 32, 64, 100] {
        #expect(tokenizer.encodeWord(Array(text.utf8), windowSize: size) == expected, "\(size)")
      }
    }
  }

  /// A tokenizer of three letters with random merges of its own pieces, and those merges.
  private static func denseTokenizer(
    using generator: inout RandomGenerator
  ) -> (file: TokenizerFixture.Object, merges: [(left: String, right: String)]) {
    var pieces = ["a", "b", "c"]
    var merges: [(left: String, right: String)] = []
    while merges.count < 40 {
      let left = pieces.randomElement(using: &generator) ?? "a"
      let right = pieces.randomElement(using: &generator) ?? "a"
      if pieces.contains(left + right) { continue }
      pieces.append(left + right)
      merges.append((left, right))
    }
    var file = TokenizerFixture.sentencePiece()
    var model = file["model"] as? TokenizerFixture.Object ?? [:]
    var vocabulary = (model["vocab"] as? TokenizerFixture.Object ?? [:]).filter {
      $0.key.hasPrefix("<")
    }
    for (index, piece) in (["\u{2581}"] + pieces).enumerated() { vocabulary[piece] = 259 + index }
    model["vocab"] = vocabulary
    model["merges"] = merges.map { "\($0.left) \($0.right)" }
    file["model"] = model
    return (file, merges)
  }

  /// Long words are read a few thousand bytes at a time; the borders fall into characters of several bytes
  /// and, where the vocabulary has no piece for a character, into unknown text.
  ///
  /// What is made of a character cut in two is none of the tokens that the same text has where it is short.
  @Test(
    "long words read in parts have no character cut in two",
    .enabled(if: SharedTokenizers.arePresent, "../shared is absent"),
    arguments: SharedTokenizers.sentencePieceNames)
  func readingInPartsCutsNoCharacter(name: String) throws {
    let tokenizer = try SharedTokenizers.named(name)
    for unit in ["東京", "é", "🦙x", "thegardenwas"] {
      let (short, long) = (100, 100_000)
      let expected = tokenizer.encode(
        String(repeating: unit, count: short), addingSpecialTokens: false)
      let ids = tokenizer.encode(String(repeating: unit, count: long), addingSpecialTokens: false)
      #expect(Set(ids) == Set(expected), "\(unit)")
      #expect(tokenizer.decode(ids) == String(repeating: unit, count: long), "\(unit)")
    }
  }

  @Test("unknown text that is read in parts is one unknown token")
  func unknownTextIsFusedWhereItIsReadInParts() throws {
    var file = TokenizerFixture.sentencePiece()
    var model = file["model"] as? TokenizerFixture.Object ?? [:]
    model["byte_fallback"] = false
    file["model"] = model
    let tokenizer = try TokenizerFixture.tokenizer(file)
    for count in [2, 300_000] {
      let ids = tokenizer.encode(String(repeating: "東", count: count), addingSpecialTokens: false)
      #expect(ids == [tokenizer.token("\u{2581}"), tokenizer.token("<unk>")], "\(count)")
    }
  }

  @Test("among equal merges the leftmost is the first")
  func mergesLeftmostFirstAmongEquals() throws {
    let tokenizer = try TokenizerFixture.tokenizer(TokenizerFixture.sentencePiece())
    func id(_ piece: String) -> Int? { tokenizer.token(piece) }
    #expect(tokenizer.encodeWord(Array("aaa".utf8), windowSize: 64) == [id("aa"), id("a")])
    #expect(tokenizer.encode("abc", addingSpecialTokens: false) == [id("\u{2581}"), id("abc")])
    #expect(tokenizer.encode("ab", addingSpecialTokens: false) == [id("\u{2581}ab")])
  }
}
