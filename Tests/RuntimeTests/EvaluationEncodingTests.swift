import DuetEvaluation
import DuetRuntime
import DuetText
import Foundation
import TestSupport
import Testing

/// How texts become tokens by the two protocols.
@Suite("Encoding of evaluation tasks")
struct EvaluationEncodingTests {
  private let tokenizer: Tokenizer

  /// A SentencePiece-like tokenizer: 1 is BOS, 2 EOS, 259 "▁", 260 "a", 261 "b", 265 "▁a", 266 "▁ab".
  init() throws { tokenizer = try TokenizerFixture.tokenizer(TokenizerFixture.sentencePiece()) }

  private func document(_ context: String, _ answers: [String]) -> ChoiceDocument {
    ChoiceDocument(
      choices: answers.map { .init(context: context, answer: $0) }, gold: 0)
  }

  private func encode(
    _ context: String, _ answers: [String], _ name: EvaluationProtocol, length: Int = 100,
    tokenizer: Tokenizer? = nil
  ) throws -> EncodedDocument {
    try EncodedDocument(
      document(context, answers), protocol: name, tokenizer: tokenizer ?? self.tokenizer,
      contextLength: length)
  }

  @Test("encoded together, an answer begins behind its context")
  func together() throws {
    let encoded = try encode("b", ["a", "ab"], .joined)
    // "▁b" behind BOS, then "▁a" and "▁ab".
    #expect(
      encoded.contexts == [
        SharedContext(context: [1, 259, 261], continuations: [[265], [266]])
      ])
    #expect(encoded.choices.allSatisfy { $0.flags.isEmpty && $0.contextTokenCount == 3 })
    #expect(encoded.evaluatedCount == 3)
  }

  @Test("encoded apart, each text has its own prefix")
  func apart() throws {
    let encoded = try encode("b", ["a", "ab"], .separate)
    // The prefix "▁" of each text stays: "▁" + "▁a".
    #expect(
      encoded.contexts == [
        SharedContext(context: [259, 261], continuations: [[259, 265], [259, 266]])
      ])
  }

  @Test("white space at the end of a context goes to the answer")
  func whiteSpaceAtTheEndOfTheContext() throws {
    let encoded = try encode("b ", ["a"], .joined)
    #expect(
      encoded.contexts == [
        SharedContext(context: [1, 259, 261], continuations: [[259, 265]])
      ])
    let apart = try encode("b ", ["a"], .separate)
    #expect(apart.contexts[0].context == [259, 261, 259])
  }

  @Test("a special token stands for an empty context, which is flagged")
  func emptyContexts() throws {
    let joined = try encode("", ["a"], .joined)
    #expect(
      joined.contexts == [SharedContext(context: [1], continuations: [[259, 265]])])
    #expect(joined.choices[0].flags == [.contextEmpty])
    let folder = try TemporaryFolder()
    try folder.write(
      "tokenizer.json",
      Array(JSONSerialization.data(withJSONObject: TokenizerFixture.sentencePiece())))
    try folder.write(
      "tokenizer_config.json", #"{"bos_token": "<s>", "eos_token": "</s>"}"#)
    let named = try Tokenizer(contentsOf: folder.path)
    let apart = try encode("", ["a"], .separate, tokenizer: named)
    #expect(apart.contexts == [SharedContext(context: [2], continuations: [[259, 265]])])
    // A tokenizer without EOS has BOS.
    #expect(try encode("", ["a"], .separate).contexts[0].context == [1])
    // Without BOS and EOS there is nothing to stand for it.
    let bare = try TokenizerFixture.tokenizer(
      TokenizerFixture.byteLevel(pattern: WordPattern.llama3.regularExpression))
    #expect(throws: EvaluationError.noPrefixToken) {
      try encode("", ["a"], .joined, tokenizer: bare)
    }
  }

  @Test("a text that begins with BOS has one BOS")
  func aTextThatBeginsWithBOS() throws {
    let encoded = try encode("<s>b", ["a"], .joined)
    #expect(encoded.contexts[0].context.filter { $0 == 1 }.count == 1)
    #expect(encoded.contexts[0].context.first == 1)
    #expect(encoded.contexts[0].continuations == [[265]])
  }

  @Test("a token that spans the join is flagged")
  func aTokenThatSpansTheJoin() throws {
    // "▁a" + "b" merge to "▁ab", so nothing is left behind the two tokens of "▁" "a" ...
    var object = TokenizerFixture.sentencePiece()
    object["post_processor"] = NSNull()
    var model = try #require(object["model"] as? TokenizerFixture.Object)
    // ... with a piece that takes the space in.
    var vocabulary = try #require(model["vocab"] as? TokenizerFixture.Object)
    vocabulary["a\u{2581}"] = 268
    vocabulary["a\u{2581}b"] = 269
    model["vocab"] = vocabulary
    model["merges"] = ["a \u{2581}", "a\u{2581} b"]
    object["model"] = model
    let spanning = try TokenizerFixture.tokenizer(object)
    // "▁", "a" alone; "▁", "a▁b" together.
    let encoded = try encode("a", ["b"], .joined, tokenizer: spanning)
    #expect(encoded.contexts[0].context == [259, 260])
    #expect(encoded.choices[0].flags == [.continuationInContext])
    #expect(
      encoded.contexts[0].continuations == [
        spanning.encode(" b", addingSpecialTokens: false)
      ])
  }

  @Test("contexts that are too long lose their beginning")
  func tooLongContexts() throws {
    // BOS, "▁", five "b", and "▁a" or "▁a" "b" ...: 8 tokens and more.
    let whole = try encode("bbbbb", ["a", "b"], .joined)
    #expect(whole.contexts.map(\.context) == [[1, 259] + [Int](repeating: 261, count: 5)])
    let short = try encode("bbbbb", ["a", "b"], .joined, length: 5)
    // Of both the last six tokens are kept, so that the contexts differ.
    #expect(
      short.contexts == [
        SharedContext(context: [261, 261, 261, 261, 261], continuations: [[265]]),
        SharedContext(context: [261, 261, 261, 261], continuations: [[259, 261]]),
      ])
    #expect(short.choices.allSatisfy { $0.flags == [.contextTruncated] })
    #expect(short.contexts.allSatisfy { $0.longestSequence <= 5 })
    let exact = try encode("bbbbb", ["a"], .joined, length: 7)
    #expect(exact.choices[0].flags.isEmpty)
    let tiny = try encode("b", ["bbbb"], .joined, length: 3)
    #expect(tiny.contexts == [SharedContext(context: [261], continuations: [[261, 261, 261]])])
    #expect(tiny.choices[0].flags == [.contextTruncated, .continuationTruncated])
  }

  // Sources: design of Llama-2's tokenizer: "▁" in front of each text that is encoded by itself.
  @Test(
    "the two protocols differ for Llama 2 by the prefix of an answer",
    .enabled(if: SharedData.path("tokenizers/llama2") != nil, "../shared is absent"))
  func llama2() throws {
    let llama = try Tokenizer(contentsOf: #require(SharedData.path("tokenizers/llama2")))
    let joined = try encode("Answer:", ["x"], .joined, tokenizer: llama)
    let apart = try encode("Answer:", ["x"], .separate, tokenizer: llama)
    let (mark, x) = (try #require(llama.token("\u{2581}")), try #require(llama.token("\u{2581}x")))
    #expect(joined.contexts[0].continuations == [[x]])
    #expect(apart.contexts[0].continuations == [[mark, x]])
    #expect(joined.contexts[0].context == [1] + apart.contexts[0].context)
  }
}
