import DuetText
import Foundation
import TestSupport
import Testing

/// Details of tokenizer.json that few published files need; all ids are those of Hugging Face
/// tokenizers 0.23.3 for `TokenizerFixture.sentencePiece()` with the change.
@Suite("Rare details of tokenizers")
struct TokenizerDetailTests {
  private typealias Object = TokenizerFixture.Object

  /// The ids of each text, without special tokens, by the fixture with a change.
  private func ids(
    of texts: [String], _ change: (inout Object) throws -> Void
  ) throws -> [[Int]] {
    var object = TokenizerFixture.sentencePiece()
    try change(&object)
    let tokenizer = try TokenizerFixture.tokenizer(object)
    return texts.map { tokenizer.encode($0, addingSpecialTokens: false) }
  }

  private func changeModel(_ object: inout Object, _ change: (inout Object) -> Void) {
    var model = object["model"] as? Object ?? [:]
    change(&model)
    object["model"] = model
  }

  @Test("with pieces for some bytes only, the unknown scalar before bytes comes after them")
  func movesUnknownBehindBytes() throws {
    func result(_ texts: [String], fuses: Bool) throws -> [[Int]] {
      try ids(of: texts) { object in
        changeModel(&object) { model in
          var vocabulary = model["vocab"] as? Object ?? [:]
          for byte in 0..<256 where byte != 0xC3 && byte != 0xA9 {
            vocabulary[String(format: "<0x%02X>", byte)] = nil
          }
          model["vocab"] = vocabulary
          model["fuse_unk"] = fuses
        }
      }
    }
    #expect(
      try result(["aé", "xéa", "xéxb", "xyéa", "éx"], fuses: true) == [
        [265, 198, 172], [259, 198, 172, 0, 260], [259, 198, 172, 0, 261],
        [259, 198, 172, 0, 260], [259, 198, 172, 0],
      ])
    #expect(
      try result(["xyéza", "xéxb"], fuses: false) == [
        [259, 0, 198, 172, 0, 0, 260], [259, 198, 172, 0, 0, 261],
      ])
  }

  @Test("white space that became part of a token may be a token again")
  func findsTokensInStrippedSpace() throws {
    let found = try ids(of: ["a<x>   b", "<x>  <x>a", "a  <x> b"]) { object in
      var stripping = TokenizerFixture.specialToken(268, "<x>")
      stripping["rstrip"] = true
      var tokens = object["added_tokens"] as? [Object] ?? []
      tokens += [stripping, TokenizerFixture.specialToken(269, "  ")]
      object["added_tokens"] = tokens
    }
    #expect(
      found == [
        [265, 268, 269, 259, 259, 261], [268, 269, 268, 265], [265, 269, 268, 259, 261],
      ])
  }

  @Test(
    "a text whose start a normalizer removed is not the first one",
    arguments: [
      (#"{"type": "Strip", "strip_left": true}"#, ["ab", " ab", "\n ab"], [[266], [263], [263]]),
      (
        #"{"type": "Replace", "pattern": {"Regex": "c+"}, "content": "a"}"#,
        ["ab", "cab", "ccab"], [[266], [265, 263], [260, 263]]
      ),
      (
        #"{"type": "Replace", "pattern": {"String": "c"}, "content": ""}"#,
        ["ab", "cab", "ccab"], [[266], [263], [263]]
      ),
      (#"{"type": "StripAccents"}"#, ["ab", "\u{301}ab"], [[266], [263]]),
      (#"{"type": "Nmt"}"#, ["ab", "\u{1}ab"], [[266], [263]]),
    ])
  func noticesLostStarts(normalizer: String, texts: [String], expected: [[Int]]) throws {
    let found = try ids(of: texts) { object in
      object["normalizer"] = try JSONSerialization.jsonObject(with: Data(normalizer.utf8))
      object["pre_tokenizer"] = [
        "type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "first",
        "split": false,
      ]
    }
    #expect(found == expected)
  }

  @Test("files of the first versions, without a type and with the first line of merges.txt")
  func readsFirstVersions() throws {
    let found = try ids(of: ["abc aab"]) { object in
      changeModel(&object) { model in
        model["type"] = nil
        model["merges"] = ["#version: 0.2"] + (model["merges"] as? [String] ?? [])
      }
    }
    #expect(found == [[259, 264, 265, 263]])
  }
}
