import DuetRuntime
import DuetText
import TestSupport
import Testing

/// Long runs and random texts; `Scripts/torture` has longer ones and more.
@Suite("Unusual texts")
struct TextPatternTests {
  private func stories() throws -> Tokenizer {
    try Tokenizer(contentsOf: SharedData.project("models/stories"))
  }

  @Test("there are twelve patterns of text")
  func thereAreTwelve() { #expect(TextPattern.all.count == 12) }

  /// Runs of 10^3 to 10^5 units come back, whole and in a stream.
  @Test("long runs come back, whole and in a stream", arguments: TextPattern.all.indices)
  func runsComeBack(index: Int) throws {
    let tokenizer = try stories()
    for size in [1000, 10_000, 100_000] {
      let text = TextPattern.all[index].text(size)
      let ids = tokenizer.encode(utf8: text, addingSpecialTokens: false)
      #expect(Array(tokenizer.decode(ids).utf8) == text)
      var stream = TokenStream(tokenizer, skippingSpecialTokens: false)
      var streamed = ids.map { stream.append($0) }.joined()
      streamed += stream.finish()
      #expect(Array(streamed.utf8) == text)
    }
  }

  @Test("random texts come back", arguments: 0..<10 as Range<UInt64>)
  func randomTextsComeBack(seed: UInt64) throws {
    let tokenizer = try stories()
    var generator = RandomGenerator(seed: seed)
    for _ in 0..<500 {
      let text = RandomText.next(using: &generator)
      let ids = tokenizer.encode(utf8: text, addingSpecialTokens: false)
      #expect(Array(tokenizer.decode(ids).utf8) == text, "\(text)")
    }
  }

  /// Every control token typed as content in every template.
  @Test("control tokens that are typed stay text in all templates")
  func typedControlTokensStayTextInAllTemplates() throws {
    let outcome = try InjectionTrial(stories()).run()
    #expect(outcome.caseCount > 500)
    #expect(outcome.failures == [])
  }
}
