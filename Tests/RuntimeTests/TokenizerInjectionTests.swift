import DuetText
import TestSupport
import Testing

@Suite("Special tokens in content")
struct TokenizerInjectionTests {
  private func expectPlainText(_ tokenizer: Tokenizer) {
    for token in tokenizer.addedTokens {
      for content in [
        token.content, "x\(token.content)", "\(token.content) x", " \(token.content)",
      ] {
        let ids = tokenizer.encode([TextSegment(content, isContent: true)])
        #expect(!ids.contains { tokenizer.isControl($0) }, "\(content)")
        #expect(!ids.contains(token.id), "\(content)")
        #expect(tokenizer.decode(ids).contains(token.content))
      }
      // Half of it from the template, half from a person.
      let scalars = Array(token.content.unicodeScalars)
      for border in 1..<max(scalars.count, 2) {
        var front = ""
        front.unicodeScalars.append(contentsOf: scalars[..<border])
        var back = ""
        back.unicodeScalars.append(contentsOf: scalars[border...])
        for first in [true, false] {
          let ids = tokenizer.encode([
            TextSegment(front, isContent: first), TextSegment(back, isContent: !first),
          ])
          #expect(back.isEmpty || !ids.contains(token.id), "\(front) \(back)")
        }
      }
      // From the template it is the token.
      #expect(tokenizer.encode([TextSegment(token.content, isContent: false)]).contains(token.id))
    }
  }

  @Test(
    "special tokens that are typed stay text",
    .enabled(if: SharedTokenizers.arePresent, "../shared is absent"),
    arguments: SharedTokenizers.names)
  func typedTokensStayText(name: String) throws {
    expectPlainText(try SharedTokenizers.named(name))
  }

  @Test("special tokens of models/stories that are typed stay text")
  func typedTokensStayTextInTheStories() throws {
    expectPlainText(try Tokenizer(contentsOf: SharedData.project("models/stories")))
  }

  @Test("a special token that is a whole word stays text")
  func aTokenThatIsAWholeWordStaysText() throws {
    // The model itself could make this word: it ignores merges, and merges lead there, too.
    var object = TokenizerFixture.byteLevel(pattern: WordPattern.llama3.regularExpression)
    object["added_tokens"] = [TokenizerFixture.specialToken(256, "hi")]
    let tokenizer = try TokenizerFixture.tokenizer(object)
    #expect(tokenizer.encode("hi") == [256])
    #expect(tokenizer.encode([TextSegment("hi", isContent: true)]) == [0x68, 0x69])
  }

  @Test(
    "special tokens that are typed stay text whatever the normalizer makes of them",
    arguments: GoldenTokenizer.all + GoldenTokenizer.ofSentencePiece
      + GoldenTokenizer.withAddedTokens)
  func typedTokensStayTextAfterNormalization(golden: GoldenTokenizer) throws {
    let tokenizer = try Tokenizer(contentsOf: golden.path)
    for token in tokenizer.addedTokens {
      let scalars = Array(token.content.unicodeScalars)
      // The same in full width, which NFKC and the character maps turn into the token's text.
      var wide = String.UnicodeScalarView()
      for scalar in scalars {
        let isPrintable = (0x21...0x7E).contains(scalar.value)
        wide.append(isPrintable ? Unicode.Scalar(scalar.value + 0xFEE0) ?? scalar : scalar)
      }
      let wideScalars = Array(wide)
      for spelling in [scalars, wideScalars] {
        for border in 0..<spelling.count {
          var (front, back) = (String.UnicodeScalarView(), String.UnicodeScalarView())
          front.append(contentsOf: spelling[..<border])
          back.append(contentsOf: spelling[border...])
          for isFirst in border == 0 ? [false] : [true, false] {
            let ids = tokenizer.encode([
              TextSegment(String(front), isContent: isFirst),
              TextSegment(String(back), isContent: !isFirst),
            ])
            // The unknown token also stands for text without a piece.
            #expect(
              token.id == tokenizer.unknown || token.content == "<unk>"
                || !isHidden(token, in: tokenizer)
                || !ids.contains(token.id), "\(token.content) \(border) \(isFirst)")
          }
        }
      }
    }
  }

  /// Whether plain text must not become the token: not for text that is an ordinary piece, too.
  private func isHidden(_ token: AddedToken, in tokenizer: Tokenizer) -> Bool {
    token.isSpecial
      || token.content.hasPrefix("<") && token.content != "<sep>" && token.content != "<mask>"
  }

  @Test("borders of content leave no trace")
  func contentBordersLeaveNoTrace() throws {
    let tokenizer = try Tokenizer(contentsOf: SharedData.project("models/stories"))
    let text = "Once upon a time there was a little girl named Lily.\n\nShe liked 'red' kites."
    let whole = tokenizer.encode(text, addingSpecialTokens: false)
    let bytes = Array(text.utf8)
    for border in bytes.indices {
      let segments = [
        TextSegment(String(decoding: bytes[..<border], as: UTF8.self), isContent: false),
        TextSegment(String(decoding: bytes[border...], as: UTF8.self), isContent: true),
      ]
      #expect(tokenizer.encode(segments) == whole)
    }
  }

  @Test("normalised special tokens in content stay text, too")
  func normalizedTokensAreHiddenInContentToo() throws {
    var object = TokenizerFixture.sentencePiece()
    var token = TokenizerFixture.specialToken(268, "c c")
    token["normalized"] = true
    object["added_tokens"] = [token]
    let tokenizer = try TokenizerFixture.tokenizer(object)
    #expect(tokenizer.encode("c ca", addingSpecialTokens: false).first == 268)
    let ids = tokenizer.encode([TextSegment("c ca", isContent: true)])
    #expect(!ids.contains(268))
    let joined = tokenizer.encode([
      TextSegment("c", isContent: false), TextSegment(" c", isContent: true),
    ])
    #expect(!joined.contains(268))
  }
}
