import DuetRuntime
import DuetSystem
import DuetText
import Foundation
import TestSupport
import Testing

/// A change to a good tokenizer.json and a part of the sentence with which it must be refused.
struct TokenizerRefusal: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let fragment: String
  let change: @Sendable (inout TokenizerFixture.Object) -> Void

  /// Sets the value at `place` (names with dots between them), or removes it.
  static func set(
    _ place: String, _ json: String?, refusedWith fragment: String
  ) -> TokenizerRefusal {
    TokenizerRefusal(
      testDescription: "\(place) = \(json ?? "nothing")", fragment: fragment
    ) { object in
      let value = json.flatMap {
        try? JSONSerialization.jsonObject(with: Data($0.utf8), options: .fragmentsAllowed)
      }
      put(value, at: place.split(separator: ".").map(String.init)[...], in: &object)
    }
  }

  private static func put(
    _ value: Any?, at place: ArraySlice<String>, in object: inout TokenizerFixture.Object
  ) {
    guard let key = place.first else { return }
    if place.count == 1 {
      object[key] = value
    } else {
      var inner = object[key] as? TokenizerFixture.Object ?? [:]
      put(value, at: place.dropFirst(), in: &inner)
      object[key] = inner
    }
  }
}

@Suite("Refused tokenizers")
struct TokenizerRefusalTests {
  static let cases: [TokenizerRefusal] = [
    .set("version", "\"2.0\"", refusedWith: "\"version\" is \"2.0\""),
    .set("version", "1", refusedWith: "should be a string"),
    .set("surprise", "1", refusedWith: "\"surprise\" is not known"),
    .set("added_tokens", "{}", refusedWith: "\"added_tokens\" should be an array"),
    .set("added_tokens", "[5]", refusedWith: "added_tokens[0]"),
    .set("added_tokens", #"[{"content": "x"}]"#, refusedWith: "id\" is missing"),
    .set("added_tokens", #"[{"id": 300}]"#, refusedWith: "content\" is missing"),
    .set(
      "added_tokens", #"[{"id": 300, "content": "x", "lstrip": 1}]"#,
      refusedWith: "true or false"),
    .set(
      "added_tokens", #"[{"id": 300, "content": "x", "colour": "red"}]"#,
      refusedWith: "colour\" is not known"),
    .set(
      "added_tokens",
      "[{\"id\": 300, \"content\": \"\(String(repeating: "x", count: 1025))\"}]",
      refusedWith: "1025 bytes"),
    .set("normalizer", #"{"type": "BertNormalizer"}"#, refusedWith: "\"BertNormalizer\""),
    .set("normalizer", #"{"type": "NFKC", "form": 5}"#, refusedWith: "form\" is not known"),
    .set("normalizer", "[]", refusedWith: "\"normalizer\" should be an object"),
    .set("normalizer", #"{"type": "Sequence"}"#, refusedWith: "normalizers\" is missing"),
    .set(
      "normalizer", #"{"type": "Replace", "pattern": {"Regex": "(a)\\1"}, "content": ""}"#,
      refusedWith: "the pattern (a)\\1 uses"),
    .set(
      "normalizer", #"{"type": "Replace", "pattern": {"String": ""}, "content": "x"}"#,
      refusedWith: "pattern"),
    .set(
      "normalizer", #"{"type": "Prepend", "prepend": "x", "often": true}"#,
      refusedWith: "often\" is not known"),
    .set("pre_tokenizer", #"{"type": "UnicodeScripts"}"#, refusedWith: "UnicodeScripts"),
    .set(
      "pre_tokenizer",
      #"{"type": "Split", "pattern": {"Regex": "(a|b)\\1"}, "behavior": "Isolated"}"#,
      refusedWith: #"the pattern (a|b)\1 uses a back reference \1, which is not supported"#),
    .set(
      "pre_tokenizer",
      #"{"type": "Split", "pattern": {"Regex": "(a{1,100000}"}, "behavior": "Isolated"}"#,
      refusedWith: "has a group without end"),
    .set(
      "pre_tokenizer",
      #"{"type": "Split", "pattern": {"Regex": "a{1,100000}"}, "behavior": "Isolated"}"#,
      refusedWith: "more than 8192 states"),
    .set(
      "pre_tokenizer", #"{"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Dropped"}"#,
      refusedWith: "\"Dropped\""),
    .set(
      "pre_tokenizer", #"{"type": "FixedLength", "length": 0}"#, refusedWith: "length"),
    .set(
      "pre_tokenizer", #"{"type": "Metaspace", "replacement": "ab"}"#,
      refusedWith: "a single character"),
    .set(
      "pre_tokenizer", #"{"type": "Metaspace", "replacement": "_", "prepend_scheme": "often"}"#,
      refusedWith: "\"often\""),
    .set(
      "pre_tokenizer",
      #"{"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}, {"type": "Metaspace", "replacement": "_"}]}"#,
      refusedWith: "combines ByteLevel, Metaspace"),
    .set("post_processor", #"{"type": "BertProcessing"}"#, refusedWith: "cls\" is missing"),
    .set(
      "post_processor", #"{"type": "BertProcessing", "cls": ["<s>"], "sep": ["</s>", 2]}"#,
      refusedWith: "a token and its id"),
    .set(
      "post_processor", #"{"type": "RobertaProcessing", "cls": ["<s>", 1], "sep": ["</s>", 9999]}"#,
      refusedWith: "id 9999"),
    .set("post_processor", #"{"type": "Magic"}"#, refusedWith: "\"Magic\""),
    .set("post_processor.single", "[]", refusedWith: "0 times"),
    .set(
      "post_processor.single",
      #"[{"Sequence": {"id": "A"}}, {"Sequence": {"id": "A"}}]"#, refusedWith: "2 times"),
    .set(
      "post_processor.single", #"[{"Sequence": {"id": "B"}}]"#, refusedWith: "a second text"),
    .set("post_processor.special_tokens", "{}", refusedWith: "without saying what it is"),
    .set(
      "post_processor.special_tokens", #"{"<s>": {"ids": [9999]}}"#, refusedWith: "id 9999"),
    .set("post_processor.special_tokens", #"{"<s>": {"ids": 1}}"#, refusedWith: "an array"),
    .set("decoder", #"{"type": "CTC"}"#, refusedWith: "\"CTC\""),
    .set(
      "decoder", #"{"type": "Strip", "content": " ", "start": -1, "stop": 0}"#,
      refusedWith: "start"),
    .set(
      "decoder",
      #"{"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "ByteFallback"}]}"#,
      refusedWith: "combines Fuse, ByteFallback"),
    .set("model", nil, refusedWith: "\"model\" is missing"),
    .set("model", "null", refusedWith: "\"model\" is missing"),
    .set("model.type", "\"WordPiece\"", refusedWith: "\"WordPiece\""),
    .set("model", #"{"type": "Unigram"}"#, refusedWith: "model.vocab\" is missing"),
    .set("model", #"{"type": "Unigram", "vocab": []}"#, refusedWith: "the vocabulary is empty"),
    .set("model", #"{"type": "Unigram", "vocab": {}}"#, refusedWith: "should be an array"),
    .set("model", #"{"type": "Unigram", "vocab": [["a"]]}"#, refusedWith: "a piece and its score"),
    .set("model", #"{"type": "Unigram", "vocab": [["a", "b"]]}"#, refusedWith: "and its score"),
    .set(
      "model", #"{"type": "Unigram", "vocab": [["a", 1], ["a", 2]]}"#, refusedWith: "appears twice"),
    .set(
      "model", #"{"type": "Unigram", "vocab": [["a", 1]], "unk_id": 1}"#,
      refusedWith: "unknown token \"1\" is not in the vocabulary"),
    .set(
      "model", #"{"type": "Unigram", "vocab": [["a", 1]], "dropout": 1}"#, refusedWith: "dropout"),
    .set("model", #"{"vocab": {"a": 1}}"#, refusedWith: "model.type\" is missing"),
    .set(
      "post_processor",
      #"{"type": "Sequence", "processors": [{"type": "BertProcessing", "cls": ["<s>", 1], "sep": ["</s>", 2]}, {"type": "BertProcessing", "cls": ["<s>", 1], "sep": ["</s>", 2]}]}"#,
      refusedWith: "one of several"),
    .set("model.dropout", "0.1", refusedWith: "model.dropout"),
    .set("model.continuing_subword_prefix", "\"##\"", refusedWith: "continuing_subword_prefix"),
    .set("model.end_of_word_suffix", "\"</w>\"", refusedWith: "end_of_word_suffix"),
    .set("model.magic", "true", refusedWith: "model.magic"),
    .set("model.byte_fallback", "\"yes\"", refusedWith: "true or false"),
    .set("model.vocab", nil, refusedWith: "model.vocab\" is missing"),
    .set("model.vocab", "[]", refusedWith: "model.vocab\" should be an object"),
    .set("model.vocab", "{}", refusedWith: "the vocabulary is empty"),
    .set("model.vocab.a", "\"260\"", refusedWith: "should be an integer"),
    .set("model.vocab.a", "1.5", refusedWith: "should be an integer"),
    .set("model.vocab.a", "-1", refusedWith: "id -1"),
    .set("model.vocab.a", "16777216", refusedWith: "2^24"),
    .set("model.vocab.a", "9223372036854775807", refusedWith: "2^24"),
    .set("model.vocab.a", "18446744073709551616", refusedWith: "should be an integer"),
    .set("model.vocab.a", "16777215", refusedWith: "the highest id is 16777215"),
    .set("model.vocab.a", "5", refusedWith: "belongs to both"),
    .set("model.merges", nil, refusedWith: "model.merges\" is missing"),
    .set("model.merges", "{}", refusedWith: "model.merges\" should be an array"),
    .set("model.merges", "[5]", refusedWith: "merge 0 is not a pair"),
    .set("model.merges", "[null]", refusedWith: "merge 0 is not a pair"),
    .set("model.merges", #"["ab"]"#, refusedWith: "merge 0 is not a pair"),
    .set("model.merges", #"["a b c"]"#, refusedWith: "merge 0 is not a pair"),
    .set("model.merges", #"[" b"]"#, refusedWith: "merge 0 is not a pair"),
    .set("model.merges", #"["a "]"#, refusedWith: "merge 0 is not a pair"),
    .set("model.merges", #"[["a"]]"#, refusedWith: "merge 0 is not a pair"),
    .set("model.merges", #"[["a", "b", "c"]]"#, refusedWith: "merge 0 is not a pair"),
    .set("model.merges", #"[["a", 1]]"#, refusedWith: "merge 0 is not a pair"),
    .set("model.merges", #"["a z"]"#, refusedWith: "\"z\", which is not in the vocabulary"),
    .set("model.merges", #"["z a"]"#, refusedWith: "\"z\", which is not in the vocabulary"),
    .set("model.merges", #"["b a"]"#, refusedWith: "\"ba\", which is not in the vocabulary"),
    .set("model.merges", #"["a b", ["a", "b"]]"#, refusedWith: "merge 1 repeats"),
  ]

  @Test("what is not supported or contradicts itself is refused", arguments: cases)
  func refuses(refusal: TokenizerRefusal) throws {
    var object = TokenizerFixture.sentencePiece()
    refusal.change(&object)
    let error = #expect(throws: TokenizerError.self) {
      _ = try TokenizerFixture.tokenizer(object)
    }
    let sentence = error?.description ?? ""
    #expect(sentence.contains(refusal.fragment), "\(sentence)")
    #expect(!sentence.contains("\n"))
    #expect(error?.category == .refusedData)
  }

  @Test("the tokenizer that is changed in the other tests is good")
  func theFixtureItselfIsGood() throws {
    let tokenizer = try TokenizerFixture.tokenizer(TokenizerFixture.sentencePiece())
    #expect(tokenizer.vocabularySize == 268)
    #expect(
      tokenizer.decode(tokenizer.encode("abc ab é"), skippingSpecialTokens: true) == "abc ab é")
  }

  @Test(
    "a vocabulary that cannot express all text is accepted if it names no unknown token in vain")
  func acceptsIncompleteVocabularies() throws {
    var object = TokenizerFixture.sentencePiece()
    var model = try #require(object["model"] as? TokenizerFixture.Object)
    // Not needed: every byte has a piece.
    model["unk_token"] = "<nope>"
    object["model"] = model
    _ = try TokenizerFixture.tokenizer(object)
    var vocabulary = try #require(model["vocab"] as? TokenizerFixture.Object)
    vocabulary["<0x1F>"] = nil
    vocabulary["<0x-1>"] = 3 + 0x1F
    model["vocab"] = vocabulary
    object["model"] = model
    expectRefusal(object, "\"<nope>\" is not in the vocabulary")
    model["unk_token"] = nil
    object["model"] = model
    let dropping = try TokenizerFixture.tokenizer(object)
    #expect(
      dropping.encode("a\u{1F}", addingSpecialTokens: false)
        == dropping.encode("a", addingSpecialTokens: false))
    #expect(dropping.droppedByteCount == 1)
    // With an unknown token nothing is lost, and the piece of a wrong form is plain text.
    model["unk_token"] = "<unk>"
    object["model"] = model
    let tokenizer = try TokenizerFixture.tokenizer(object)
    #expect(tokenizer.encode("\u{1F}", addingSpecialTokens: false).last == 0)
    #expect(tokenizer.decode([3 + 0x1F, 260]) == "<0x-1>a")
  }

  private func expectRefusal(_ object: TokenizerFixture.Object, _ fragment: String) {
    let error = #expect(throws: TokenizerError.self) {
      _ = try TokenizerFixture.tokenizer(object)
    }
    #expect(error?.description.contains(fragment) == true, "\(error?.description ?? "")")
  }

  @Test("what is not JSON is refused")
  func refusesWhatIsNotJSON() throws {
    for text in [
      "", "{", "[1]", "\u{FEFF}{}", "{\"model\":{},\"model\":{}}", "{}x", "\"a\"", "null",
    ] {
      #expect(throws: TokenizerError.self, "\(text)") {
        _ = try TokenizerFixture.tokenizer(Data(text.utf8))
      }
    }
    let deep = String(repeating: "[", count: 100_000)
    #expect(throws: TokenizerError.self) { _ = try TokenizerFixture.tokenizer(Data(deep.utf8)) }
  }

  @Test("pieces that Unicode calls equal stay apart")
  func keepsCanonicallyEqualPiecesApart() throws {
    let object = TokenizerFixture.sentencePiece()
    let data = try JSONSerialization.data(withJSONObject: object)
    let text = String(decoding: data, as: UTF8.self)
    // Greek omicron with tonos and with oxia: equal as Swift strings, different bytes.
    let changed = text.replacingOccurrences(
      of: "\"abc\":", with: "\"\u{3CC}\":300,\"\u{1F79}\":301,\"abc\":")
    #expect(changed != text)
    let tokenizer = try TokenizerFixture.tokenizer(Data(changed.utf8))
    #expect(tokenizer.token("\u{3CC}") == 300)
    #expect(tokenizer.token("\u{1F79}") == 301)
    #expect(
      tokenizer.encode("\u{1F79}\u{3CC}", addingSpecialTokens: false).suffix(2) == [301, 300])
  }

  @Test("folders without a tokenizer are refused")
  func refusesFoldersWithoutTokenizer() throws {
    let folder = try TemporaryFolder()
    #expect(throws: TokenizerError.notFound(folder: folder.path)) {
      _ = try Tokenizer(contentsOf: folder.path)
    }
    #expect(TokenizerError.notFound(folder: folder.path).category == .inputOutput)
  }

  @Test(
    "a tokenizer_config.json that cannot be true is refused",
    arguments: [
      (#"{"eos_token": 5}"#, "a string or an object"),
      (#"{"added_tokens_decoder": {"x": {"content": "y"}}}"#, "an object of ids"),
      (#"{"added_tokens_decoder": []}"#, "an object"),
      (#"{"add_bos_token": 1}"#, "true or false"),
      (#"[]"#, "an object"),
    ])
  func refusesConfigurations(json: String, fragment: String) throws {
    let folder = try TemporaryFolder()
    try folder.write(
      "tokenizer.json",
      Array(JSONSerialization.data(withJSONObject: TokenizerFixture.sentencePiece())))
    try folder.write("tokenizer_config.json", json)
    let error = #expect(throws: TokenizerError.self) {
      _ = try Tokenizer(contentsOf: folder.path)
    }
    #expect(error?.description.contains(fragment) == true, "\(error?.description ?? "")")
  }

  @Test("mutated files do no harm", arguments: 0..<40 as Range<UInt64>)
  func survivesMutations(seed: UInt64) throws {
    let original = Array(
      try JSONSerialization.data(
        withJSONObject: seed % 2 == 0
          ? TokenizerFixture.sentencePiece()
          : TokenizerFixture.byteLevel(pattern: WordPattern.llama3.regularExpression)))
    var generator = RandomGenerator(seed: seed)
    for _ in 0..<50 {
      let data = Data(mutated(original, using: &generator))
      guard let tokenizer = try? TokenizerFixture.tokenizer(data) else { continue }
      let ids = tokenizer.encode("ab  abc <s> é \u{0} 🦙 aaaa")
      _ = tokenizer.decode(ids + [-1, .max, tokenizer.vocabularySize])
    }
  }
}
