import DuetText
import Foundation
import TestSupport
import Testing

/// A folder of ../shared/cases, a text, and the ids that the Python packages give.
struct SharedTokenizerCase: Sendable, CustomTestStringConvertible {
  let folder: String
  let text: String
  let ids: [Int]

  var testDescription: String { folder }

  init(_ folder: String, _ text: String, _ ids: [Int]) {
    self.folder = folder
    self.text = text
    self.ids = ids
  }
}

@Suite("Tokenizer files beside the main one")
struct TokenizerFilesTests {
  private static let chat = "<|im_start|>user\nhi<|im_end|>\n"

  @Test(
    "the reported folders give the ids of the packages",
    .enabled(if: SharedData.path("cases") != nil, "../shared is absent"),
    arguments: [
      SharedTokenizerCase("added-token-id-gap", "a<|extra|>b", [4091, 64, 4096, 65]),
      SharedTokenizerCase(
        "added-tokens-json", chat, [1, 514, 318, 419, 285, 13, 415, 417, 513, 410, 13]),
      SharedTokenizerCase(
        "added-tokens-json-eos", chat, [1, 514, 318, 419, 285, 13, 415, 417, 513, 410, 13]),
      SharedTokenizerCase(
        "pretok-deepseek-coder", "x = 12, y", [4091, 87, 220, 28, 220, 16, 17, 11, 330]),
      SharedTokenizerCase(
        "pretok-qwen-nfc", "year 2024 cafe\u{301}",
        [4091, 88, 403, 220, 17, 15, 17, 19, 277, 1126, 3273]),
      SharedTokenizerCase("spm-extra-whitespace", "hello     world", [1, 292, 278, 745, 708]),
      SharedTokenizerCase(
        "spm-legacy-false", chat, [1, 512, 425, 419, 285, 13, 415, 417, 513, 13]),
      SharedTokenizerCase(
        "spm-legacy-false", "hello</s>hello", [1, 281, 306, 414, 2, 260, 306, 414]),
      SharedTokenizerCase(
        "tokenizer-config-over-1MB", "a <custom_token_5>b", [4091, 64, 220, 4101, 65]),
      SharedTokenizerCase(
        "tokenizer-padding-truncation", "Once upon a time", [4091, 499, 537, 258, 425]),
      SharedTokenizerCase("unigram-llama", "the cat é", [1, 260, 261, 259, 198, 172]),
    ])
  func agreesOnReportedFolders(example: SharedTokenizerCase) throws {
    let tokenizer = try Tokenizer(contentsOf: #require(SharedData.path("cases/\(example.folder)")))
    #expect(tokenizer.encode(example.text) == example.ids)
    if example.folder == "added-tokens-json-eos" { #expect(tokenizer.endOfSequence == 513) }
  }

  /// A tokenizer of the small SentencePiece-like tokenizer.json and other files.
  private func tokenizer(
    _ files: [String: String], _ change: (inout TokenizerFixture.Object) -> Void = { _ in }
  ) throws -> Tokenizer {
    let folder = try TemporaryFolder()
    var object = TokenizerFixture.sentencePiece()
    change(&object)
    try folder.write(
      "tokenizer.json", Array(JSONSerialization.data(withJSONObject: object)))
    for (name, text) in files { try folder.write(name, text) }
    return try Tokenizer(contentsOf: folder.path)
  }

  @Test("special tokens that the vocabulary lacks are absent and noted")
  func notesAbsentTokens() throws {
    let tokenizer = try tokenizer([
      "tokenizer_config.json": #"""
      {"bos_token": {"content": "<nope>"}, "eos_token": "</s>", "pad_token": "<pad>",
       "additional_special_tokens": ["<a>", {"content": "<b>"}]}
      """#
    ])
    #expect(tokenizer.notes.count == 1)
    #expect(
      tokenizer.notes.first?.contains(
        "tokenizer_config.json: the special token \"<nope>\" and 3 more") == true)
    // The post-processor names another one.
    #expect(tokenizer.beginningOfSequence == 1)
    #expect(tokenizer.endOfSequence == 2)
    #expect(tokenizer.vocabularySize == 268)
    #expect(try self.tokenizer([:]).notes == [])
  }

  @Test("added tokens get the next id, and one that moves is noted")
  func numbersAddedTokens() throws {
    let tokenizer = try tokenizer([:]) { object in
      object["added_tokens"] = [
        TokenizerFixture.specialToken(1, "<s>"), TokenizerFixture.specialToken(900, "<x>"),
        TokenizerFixture.specialToken(7, "</s>"), TokenizerFixture.specialToken(1, "<y>"),
        TokenizerFixture.specialToken(5, ""),
      ]
    }
    #expect(tokenizer.token("<s>") == 1)
    #expect(tokenizer.token("<x>") == 268)
    #expect(tokenizer.token("</s>") == 2)
    #expect(tokenizer.token("<y>") == 269)
    #expect(tokenizer.addedTokens.count == 4)
    #expect(tokenizer.notes.count == 1)
    #expect(
      tokenizer.notes.first?.contains("\"<x>\" and 2 more has the id 900 in the file") == true)
  }

  @Test("an added token keeps the id in the file where a piece has the next one")
  func keepsIDsInHoles() throws {
    let tokenizer = try tokenizer([:]) { object in
      var model = object["model"] as? TokenizerFixture.Object ?? [:]
      var vocabulary = model["vocab"] as? TokenizerFixture.Object ?? [:]
      // 267 pieces, of which one has the id 267: the next id is taken, and 2 is free.
      vocabulary["</s>"] = nil
      model["vocab"] = vocabulary
      object["model"] = model
      object["added_tokens"] = [
        TokenizerFixture.specialToken(2, "</s>"), TokenizerFixture.specialToken(268, "<x>"),
      ]
    }
    #expect(tokenizer.token("aa") == 267)
    #expect(tokenizer.token("</s>") == 2)
    #expect(tokenizer.token("<x>") == 268)
    #expect(tokenizer.notes == [])
  }

  @Test("added_tokens.json counts unless tokenizer_config.json lists tokens itself")
  func readsAddedTokensFiles() throws {
    let file = #"{"<x>": 269, "<w>": 268}"#
    let tokenizer = try tokenizer([
      "added_tokens.json": file,
      "special_tokens_map.json": #"{"additional_special_tokens": ["<x>"]}"#,
    ])
    #expect(tokenizer.token("<w>") == 268)
    #expect(tokenizer.token("<x>") == 269)
    #expect(tokenizer.isControl(269) && !tokenizer.isControl(268))
    let other = try self.tokenizer([
      "added_tokens.json": file,
      "tokenizer_config.json": #"{"added_tokens_decoder": {"268": {"content": "<z>"}}}"#,
    ])
    #expect(other.token("<w>") == nil)
    #expect(other.token("<z>") == 268)
    for text in ["[]", #"{"<x>": "1"}"#, #"{"<x>": -1}"#] {
      let error = #expect(throws: TokenizerError.self) {
        _ = try self.tokenizer(["added_tokens.json": text])
      }
      #expect(error?.description.contains("added_tokens.json") == true)
    }
  }

  @Test("tokenizers of the class of Llama 2 follow add_bos_token and add_eos_token")
  func followsTheClassOfLlama2() throws {
    func ids(_ configuration: String) throws -> [Int] {
      try tokenizer(["tokenizer_config.json": configuration]).encode("ab")
    }
    let text = try #require(tokenizer([:]).token("\u{2581}ab"))
    #expect(try ids(#"{"add_bos_token": false, "add_eos_token": true}"#) == [1, text])
    #expect(try ids(#"{"tokenizer_class": "LlamaTokenizer"}"#) == [1, text])
    #expect(
      try ids(
        #"{"tokenizer_class": "LlamaTokenizerFast", "add_bos_token": false, "add_eos_token": true}"#
      )
        == [text, 2])
  }
  /// Values of transformers 4.57.6 and 5.24.
  @Test("of a token in both files the settings in tokenizer_config.json hold")
  func takesSettingsOfTheConfiguration() throws {
    let token = #"{"content": "</s>", "lstrip": true, "rstrip": true, "special": true}"#
    let changed = try tokenizer([
      "tokenizer_config.json": #"{"added_tokens_decoder": {"2": \#(token)}}"#
    ])
    #expect(changed.encode("a </s> b") == [1, 265, 2, 259, 261])
    #expect(changed.notes == [])
    #expect(try tokenizer([:]).encode("a </s> b") == [1, 265, 259, 2, 259, 259, 261])
  }

  /// As transformers 4.57.6 and 5.24 do.
  @Test("the class of GPT-2 decides by add_prefix_space alone")
  func followsTheClassOfGPT2() throws {
    func firstPiece(_ configuration: String?, addsPrefixSpace: Bool) throws -> String? {
      let folder = try TemporaryFolder()
      var object = TokenizerFixture.byteLevel(pattern: "")
      object["pre_tokenizer"] = [
        "type": "ByteLevel", "add_prefix_space": addsPrefixSpace, "use_regex": true,
      ]
      try folder.write(
        "tokenizer.json", Array(JSONSerialization.data(withJSONObject: object)))
      if let configuration { try folder.write("tokenizer_config.json", configuration) }
      let tokenizer = try Tokenizer(contentsOf: folder.path)
      return tokenizer.encode("hi").first.flatMap(tokenizer.displayedPiece)
    }
    let asIn = #"{"tokenizer_class": "GPT2Tokenizer"}"#
    let adding = #"{"tokenizer_class": "GPT2TokenizerFast", "add_prefix_space": true}"#
    #expect(try firstPiece(nil, addsPrefixSpace: true) == "\u{120}")
    #expect(try firstPiece(asIn, addsPrefixSpace: true) == "hi")
    #expect(try firstPiece(adding, addsPrefixSpace: false) == "\u{120}")
    #expect(
      try firstPiece(#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#, addsPrefixSpace: true)
        == "\u{120}")
  }
}
