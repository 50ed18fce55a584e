import DuetRuntime
import DuetText
import Foundation
import TestSupport
import Testing

/// The prompts of a reference.json.
private struct ReferencePrompts: Decodable {
  struct Prompt: Decodable {
    let prompt: String
    let promptIDs: [Int]

    enum CodingKeys: String, CodingKey {
      case prompt
      case promptIDs = "prompt_ids"
    }
  }

  let prompts: [Prompt]

  init(from decoder: any Decoder) throws {
    enum Keys: String, CodingKey { case prompts }
    let container = try decoder.container(keyedBy: Keys.self)
    prompts =
      try container.decodeIfPresent([Prompt].self, forKey: .prompts) ?? [Prompt(from: decoder)]
  }
}

@Suite("Tokenizer")
struct TokenizerTests {
  @Test("random texts come back at the level of bytes", arguments: 0..<50 as Range<UInt64>)
  func byteLevelLosesNothing(seed: UInt64) throws {
    let tokenizer = try Tokenizer(contentsOf: SharedData.project("models/stories"))
    expectRoundTrips(tokenizer, seed: seed)
  }

  @Test(
    "random texts come back with real vocabularies",
    .enabled(if: SharedTokenizers.arePresent, "../shared is absent"))
  func realVocabulariesLoseNothing() throws {
    for name in SharedTokenizers.completeNames {
      expectRoundTrips(try SharedTokenizers.named(name), seed: 1000)
    }
  }

  private func expectRoundTrips(_ tokenizer: Tokenizer, seed: UInt64) {
    var generator = RandomGenerator(seed: seed)
    for _ in 0..<50 {
      var text = ""
      for _ in 0..<Int.random(in: 0...40, using: &generator) {
        if Bool.random(using: &generator) {
          text += PreTokenizerTests.alphabet.randomElement(using: &generator) ?? ""
        } else if let scalar = Unicode.Scalar(UInt32.random(in: 0...0x10FFFF, using: &generator)) {
          text.unicodeScalars.append(scalar)
        }
      }
      let decoded = tokenizer.decode(tokenizer.encode(text, addingSpecialTokens: false))
      #expect(Array(decoded.utf8) == Array(text.utf8), "\(text.debugDescription)")
    }
  }

  @Test(
    "long runs come back",
    arguments: ["A", " ", "\n", ".", "0", "é", "東", "🦙", "\u{200D}", "us", "aB 1\n", "\u{0}"])
  func longRunsLoseNothing(unit: String) throws {
    let stories = try Tokenizer(contentsOf: SharedData.project("models/stories"))
    var tokenizers = [stories]
    if SharedTokenizers.arePresent {
      tokenizers += try SharedTokenizers.names.map { try SharedTokenizers.named($0) }
    }
    for count in [1000, 100_000] {
      let text = String(repeating: unit, count: count)
      for tokenizer in tokenizers {
        let ids = tokenizer.encode(text, addingSpecialTokens: false)
        #expect(Array(tokenizer.decode(ids).utf8) == Array(text.utf8))
      }
    }
  }

  @Test("ids agree with the reference prompts of models/stories")
  func agreesWithTheReferencePromptsOfTheStories() throws {
    try expectReferencePrompts(SharedData.project("models/stories"))
  }

  @Test(
    "ids agree with the reference prompts of shared models",
    .enabled(if: SharedTokenizers.arePresent, "../shared is absent"),
    arguments: ["stories260K", "TinyStories-656K", "stories"])
  func agreesWithTheReferencePrompts(name: String) throws {
    try expectReferencePrompts(#require(SharedData.path("models/\(name)")))
  }

  private func expectReferencePrompts(_ folder: String) throws {
    let tokenizer = try Tokenizer(contentsOf: folder)
    let data = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/reference.json"))
    for prompt in try JSONDecoder().decode(ReferencePrompts.self, from: data).prompts {
      // A prompt that spells the first token itself was encoded without the post-processor.
      let ids = tokenizer.encode(prompt.prompt)
      let isDoubled = ids.count > 1 && ids[1] == ids[0]
      #expect(Array(ids.dropFirst(isDoubled ? 1 : 0)) == prompt.promptIDs, "\(prompt.prompt)")
    }
  }

  @Test("sizes, special tokens and pieces of a vocabulary are told")
  func tellsWhatItIs() throws {
    let tokenizer = try Tokenizer(contentsOf: SharedData.project("models/stories"))
    #expect(tokenizer.vocabularySize == 4096)
    #expect(tokenizer.beginningOfSequence == 4091)
    #expect(tokenizer.endOfSequence == 4095)
    #expect(tokenizer.unknown == nil)
    #expect(tokenizer.addsBeginningOfSequence)
    #expect(tokenizer.addedTokens.map(\.id) == Array(4091...4095))
    #expect(tokenizer.isControl(4095))
    #expect(!tokenizer.isControl(0))
    #expect(tokenizer.token("<|eot_id|>") == 4095)
    #expect(tokenizer.piece(4095) == Array("<|eot_id|>".utf8))
    #expect(tokenizer.piece(4096) == nil)
    #expect(tokenizer.piece(-1) == nil)
    #expect(tokenizer.token("\u{120}the").flatMap { tokenizer.displayedPiece($0) } == "Ġthe")
    #expect(tokenizer.encode("<|eot_id|>") == [4091, 4095])
    #expect(tokenizer.decode([4091, 4095]) == "<|begin_of_text|><|eot_id|>")
    #expect(tokenizer.decode([4091, 4095], skippingSpecialTokens: true) == "")
    #expect(tokenizer.encode("") == [4091])
    #expect(tokenizer.encode(utf8: [0x61, 0xFF]) == tokenizer.encode("a\u{FFFD}"))
  }

  @Test("the first byte that is not UTF-8 is found")
  func findsInvalidUTF8() {
    #expect(offsetOfInvalidUTF8(in: []) == nil)
    #expect(offsetOfInvalidUTF8(in: Array("aé🦙\0\u{FEFF}".utf8)) == nil)
    #expect(offsetOfInvalidUTF8(in: [0x61, 0x62, 0xFF]) == 2)
    #expect(offsetOfInvalidUTF8(in: [0x61, 0xC3]) == 1)
    #expect(offsetOfInvalidUTF8(in: [0xED, 0xA0, 0x80]) == 0)
  }

  @Test("added tokens take white space and keep to words")
  func addedTokensTakeWhiteSpaceAndKeepToWords() throws {
    var object = TokenizerFixture.sentencePiece()
    var left = TokenizerFixture.specialToken(268, "<l>")
    left["lstrip"] = true
    var right = TokenizerFixture.specialToken(269, "<r>")
    right["rstrip"] = true
    var word = TokenizerFixture.specialToken(270, "cab")
    word["single_word"] = true
    object["added_tokens"] = [left, right, word, TokenizerFixture.specialToken(271, "<l>a")]
    let tokenizer = try TokenizerFixture.tokenizer(object)
    func ids(_ text: String) -> [Int] { tokenizer.encode(text, addingSpecialTokens: false) }
    let a = 265  // "▁a"
    #expect(ids("a \t\u{3000}<l> a") == [a, 268] + ids(" a"))
    #expect(ids("a <r> \n a") == ids("a ") + [269, a])
    #expect(ids("cab") == [270])
    #expect(ids("a cab") == ids("a ") + [270])
    #expect(!ids("cabé").contains(270))
    #expect(!ids("1cab").contains(270))
    #expect(ids("-cab-").contains(270))
    // The longest one that starts first.
    #expect(ids("<l>a") == [271])
  }

  @Test(
    "Metaspace marks the beginning of a text once",
    arguments: [
      ("always", "a", ["\u{2581}a"]), ("always", " a", ["\u{2581}a"]),
      ("first", "a<s>a", ["\u{2581}a", "<s>", "a"]), ("never", "a", ["a"]),
      ("always", "a<s>a", ["\u{2581}a", "<s>", "\u{2581}a"]),
    ])
  func metaspaceMarksOnce(scheme: String, text: String, pieces: [String]) throws {
    var object = TokenizerFixture.sentencePiece()
    object["normalizer"] = nil
    object["pre_tokenizer"] = [
      "type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": scheme, "split": false,
    ]
    let tokenizer = try TokenizerFixture.tokenizer(object)
    #expect(
      tokenizer.encode(text, addingSpecialTokens: false) == pieces.map { tokenizer.token($0) })
  }

  @Test("Metaspace splits at its marks, if asked to")
  func metaspaceSplitsAtMarks() throws {
    var object = TokenizerFixture.sentencePiece()
    object["normalizer"] = nil
    // Across a word boundary this merge would come first.
    var model = try #require(object["model"] as? TokenizerFixture.Object)
    var vocabulary = try #require(model["vocab"] as? TokenizerFixture.Object)
    vocabulary["a\u{2581}"] = 268
    model["vocab"] = vocabulary
    model["merges"] = ["a \u{2581}", "\u{2581} a"]
    object["model"] = model
    for (splits, pieces) in [
      (true, ["\u{2581}a", "\u{2581}a"]), (false, ["\u{2581}", "a\u{2581}", "a"]),
    ] {
      object["pre_tokenizer"] = ["type": "Metaspace", "replacement": "\u{2581}", "split": splits]
      let tokenizer = try TokenizerFixture.tokenizer(object)
      #expect(
        tokenizer.encode("a a", addingSpecialTokens: false) == pieces.map { tokenizer.token($0) })
    }
  }

  @Test("unknown characters are fused, if asked to")
  func fusesUnknownScalars() throws {
    var object = TokenizerFixture.sentencePiece()
    var model = try #require(object["model"] as? TokenizerFixture.Object)
    model["byte_fallback"] = false
    for (fuses, ids) in [(true, [259, 0, 260, 0]), (false, [259, 0, 0, 260, 0, 0, 0])] {
      model["fuse_unk"] = fuses
      object["model"] = model
      let tokenizer = try TokenizerFixture.tokenizer(object)
      #expect(tokenizer.encode("éxa🦙yz", addingSpecialTokens: false) == ids)
    }
  }

  @Test("a space is added in front at the level of bytes, if asked to")
  func byteLevelAddsAPrefixSpace() throws {
    var object = TokenizerFixture.byteLevel(pattern: WordPattern.llama3.regularExpression)
    object["pre_tokenizer"] = ["type": "ByteLevel", "add_prefix_space": true, "use_regex": true]
    let tokenizer = try TokenizerFixture.tokenizer(object)
    #expect(tokenizer.encode("hi") == [0x20, 256])
    #expect(tokenizer.encode(" hi") == [0x20, 256])
    #expect(tokenizer.encode("") == [])
  }
}
