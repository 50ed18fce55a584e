import DuetRuntime
import DuetText
import Testing

@Suite("A program that uses the library")
struct ConversationTests {
  @Test("it loads a model and streams an answer")
  func stream() throws {
    let model = try Model(contentsOf: stories)
    let tokenizer = try Tokenizer(contentsOf: stories)
    let stops = StopTokens(
      configuration: model.configuration.endOfSequence,
      generation: try GenerationConfiguration(folder: stories), tokenizer: tokenizer)
    let template = try #require(
      try ChatTemplate.load(folder: stories, tokenizer: tokenizer, stopTokens: stops))
    let prompt = try template.tokens(
      for: [ChatMessage(role: .user, content: "Tell me a story about a duck.")],
      tokenizer: tokenizer, date: CalendarDate(year: 2026, month: 11, day: 30))
    var session = try Session(model, options: SessionOptions(threadCount: 2))
    var sampler = Sampler(
      SamplingOptions(temperature: 0), vocabularySize: model.configuration.vocabularySize)
    var stream = TokenStream(tokenizer)
    var pieces: [String] = []
    try session.append(prompt)
    while pieces.count < 24 {
      let token = try sampler.next(session.logits)
      if stops.contains(token) { break }
      pieces.append(stream.append(token))
      try session.append(token)
    }
    pieces.append(stream.finish())
    let answer = pieces.joined()
    #expect(pieces.count > 10 && answer.contains(" "), "\(answer)")
    #expect(session.position == prompt.count + pieces.count - 1)
  }
}
