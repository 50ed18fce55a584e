import DuetRuntime
import DuetText
import Foundation
import TestSupport
import Testing

@Suite("Token streams")
struct TokenStreamTests {
  private func expectStreamEqualsDecode(_ tokenizer: Tokenizer, _ ids: [Int]) {
    for skipping in [true, false] {
      var stream = TokenStream(tokenizer, skippingSpecialTokens: skipping)
      var text = ""
      for id in ids { text += stream.append(id) }
      text += stream.finish()
      let whole = tokenizer.decode(ids, skippingSpecialTokens: skipping)
      #expect(Array(text.utf8) == Array(whole.utf8))
    }
  }

  @Test(
    "the golden texts are streamed without half characters",
    .enabled(if: SharedTokenizers.arePresent, "../shared is absent"),
    arguments: SharedTokenizers.names)
  func streamsTheGoldens(name: String) throws {
    let tokenizer = try SharedTokenizers.named(name)
    for line in try GoldenLine.all(name) {
      var stream = TokenStream(tokenizer)
      var text = ""
      for id in line.idsWithSpecial {
        let part = stream.append(id)
        // Half of a character could only show as a replacement.
        #expect(!part.unicodeScalars.contains("\u{FFFD}") || line.text.contains("\u{FFFD}"))
        text += part
      }
      text += stream.finish()
      let whole = tokenizer.decode(line.idsWithSpecial, skippingSpecialTokens: true)
      #expect(Array(text.utf8) == Array(whole.utf8))
      expectStreamEqualsDecode(tokenizer, line.idsWithSpecial)
    }
  }

  @Test(
    "random tokens are streamed as they are decoded",
    .enabled(if: SharedTokenizers.arePresent, "../shared is absent"),
    arguments: SharedTokenizers.names)
  func streamsRandomTokens(name: String) throws {
    let tokenizer = try SharedTokenizers.named(name)
    var generator = RandomGenerator(seed: 1)
    for _ in 0..<500 {
      // Half of the ids are bytes and specials, which make malformed text.
      let ids = (0..<20).map { _ in
        Bool.random(using: &generator)
          ? Int.random(in: -1...300, using: &generator)
          : Int.random(in: 0...tokenizer.vocabularySize, using: &generator)
      }
      expectStreamEqualsDecode(tokenizer, ids)
    }
  }

  @Test("malformed bytes are repaired as by the standard library")
  func byteLevelRepairsLikeTheStandardLibrary() throws {
    let tokenizer = try TokenizerFixture.tokenizer(
      TokenizerFixture.byteLevel(pattern: WordPattern.llama3.regularExpression))
    var generator = RandomGenerator(seed: 2)
    let interesting: [UInt8] = [
      0x41, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xDF, 0xE0, 0xE1, 0xED, 0xEF, 0xF0,
      0xF1, 0xF4, 0xF5, 0xFF,
    ]
    for _ in 0..<2000 {
      let bytes = (0..<8).map { _ in interesting.randomElement(using: &generator) ?? 0 }
      // In this vocabulary a byte's id is the byte.
      let text = tokenizer.decode(bytes.map { Int($0) })
      #expect(Array(text.utf8) == Array(String(decoding: bytes, as: UTF8.self).utf8))
    }
  }

  @Test("what could still change is held back")
  func holdsBackWhatCouldChange() throws {
    let tokenizer = try TokenizerFixture.tokenizer(TokenizerFixture.sentencePiece())
    func byte(_ value: Int) -> Int { 3 + value }
    var stream = TokenStream(tokenizer)
    #expect(stream.append(1) == "")
    #expect(stream.append(259) == "")
    #expect(stream.append(260) == "a")
    // 🦙 in four bytes, which a fifth could still spoil.
    for value in [0xF0, 0x9F, 0xA6, 0x99] { #expect(stream.append(byte(value)) == "") }
    #expect(stream.append(260) == "🦙a")
    for value in [0xF0, 0x9F, 0xA6, 0x99, 0xFF] { #expect(stream.append(byte(value)) == "") }
    #expect(stream.append(260) == "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}a")
    #expect(stream.append(byte(0xC3)) == "")
    #expect(stream.finish() == "\u{FFFD}")
    // After the end the stream is at the beginning of a new text.
    #expect(stream.append(265) == "a")

    let byteLevel = try TokenizerFixture.tokenizer(
      TokenizerFixture.byteLevel(pattern: WordPattern.llama3.regularExpression))
    var bytes = TokenStream(byteLevel)
    #expect([0xF0, 0x9F, 0xA6, 0x99, 0x41].map { bytes.append($0) } == ["", "", "", "🦙", "A"])
    #expect(bytes.append(257) == "")
    #expect(bytes.append(0xC3) == "")
    #expect(bytes.append(0x41) == "\u{FFFD}A")
  }

  @Test("tokens are decoded by every kind of decoder, or without one")
  func decodesWithoutDecoderAndWithMetaspace() throws {
    var object = TokenizerFixture.sentencePiece()
    object["decoder"] = nil
    #expect(try TokenizerFixture.tokenizer(object).decode([260, 261, 1]) == "a b <s>")
    object["decoder"] = [
      "type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always",
    ]
    #expect(try TokenizerFixture.tokenizer(object).decode([266, 265, 259]) == "ab a ")
    object["decoder"] = ["type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "never"]
    #expect(try TokenizerFixture.tokenizer(object).decode([266, 265]) == " ab a")
    object["decoder"] = ["type": "Strip", "content": "a", "start": 1, "stop": 1]
    #expect(try TokenizerFixture.tokenizer(object).decode([267, 260, 264, 263]) == "bcb")
  }
}
