import DuetRuntime
import DuetText
import TestSupport
import Testing
import chat

@Suite("Responder of chat")
struct ChatResponderTests {
  @Test("only the new part of a conversation is evaluated")
  func onlyTheNewPartIsEvaluated() throws {
    var responder = fakeResponder(contextLength: 1000)
    var conversation = Conversation(system: "S")
    conversation.append(.user, "hello")
    let first = try responder.answer(&conversation, isCancelled: { false }) { _ in }
    #expect(first.evaluatedCount == first.promptCount)
    conversation.append(.assistant, "ab")
    conversation.append(.user, "again")
    let second = try responder.answer(&conversation, isCancelled: { false }) { _ in }
    // The mark of the answer is where the two prompts part at the latest.
    #expect(second.evaluatedCount <= second.promptCount - first.promptCount + 1)
    // The same once more: one token must be evaluated, to know what comes after it.
    let again = try responder.answer(&conversation, isCancelled: { false }) { _ in }
    #expect(again.evaluatedCount == 1)
    #expect(again.tokens == second.tokens)
  }

  @Test("the reason why an answer stops is told")
  func theReasonsToStopAreTold() throws {
    var conversation = Conversation()
    conversation.append(.user, "hello")
    var ends = fakeResponder(contextLength: 1000, maximumCount: 1000)
    let ended = try ends.answer(&conversation, isCancelled: { false }) { _ in }
    #expect(ended.stop == .endOfText)
    var short = fakeResponder(contextLength: 1000, maximumCount: 3, endRate: .max)
    let three = try short.answer(&conversation, isCancelled: { false }) { _ in }
    #expect(three.stop == .maximum && three.tokens.count == 3)
    // 9 tokens of prompt in a context of 12: three more fit, and one that need not be evaluated.
    var full = fakeResponder(contextLength: 12, maximumCount: 1000, endRate: .max)
    let four = try full.answer(&conversation, isCancelled: { false }) { _ in }
    #expect(four.stop == .contextFull && four.tokens.count == 4 && four.contextUsed == 12)
    var tiny = fakeResponder(contextLength: 8)
    #expect(throws: ChatError.tooLong(tokens: 9, contextLength: 8, hasOlderTurns: false)) {
      try tiny.answer(&conversation, isCancelled: { false }) { _ in }
    }
    var cancelled = fakeResponder(contextLength: 1000)
    let none = try cancelled.answer(&conversation, isCancelled: { true }) { _ in }
    #expect(none.stop == .interrupted && none.tokens.isEmpty)
  }

  /// Random conversations that are edited, cleared and interrupted at random moments, with both
  /// policies: the window is never exceeded, the evaluated tokens are those of the engine, the
  /// system text is never dropped, and an answer is what a fresh engine gives for the same tokens.
  @Test("random conversations keep to the context and equal a fresh start", arguments: 0..<1000)
  func randomConversations(seed: Int) throws {
    var generator = RandomGenerator(seed: UInt64(seed))
    let contextLength = Int.random(in: 40...120, using: &generator)
    let policy: FullContextPolicy = seed % 2 == 0 ? .dropOldest : .stop
    var responder = fakeResponder(
      contextLength: contextLength, maximumCount: Int.random(in: 1...80, using: &generator),
      policy: policy, endRate: UInt64.random(in: 5...60, using: &generator))
    let system = Bool.random(using: &generator) ? "sys" : nil
    var conversation = Conversation(system: system)
    for _ in 0..<12 {
      switch Int.random(in: 0..<10, using: &generator) {
      case 0: conversation.clear()
      case 1: conversation.withdraw(.assistant)
      default: break
      }
      if !conversation.awaitsAnswer {
        let length = Int.random(in: 1...30, using: &generator)
        conversation.append(.user, String(repeating: "u", count: length))
      }
      var patience = Bool.random(using: &generator) ? Int.random(in: 0...40, using: &generator) : -1
      var told: [Int] = []
      var droppedTold = 0
      do {
        let answer = try responder.answer(
          &conversation,
          isCancelled: {
            patience -= 1
            return patience == -1
          },
          { event in
            if case .token(let token) = event { told.append(token) }
            if case .dropped(_, let tokens) = event { droppedTold += tokens }
          })
        #expect(told == answer.tokens)
        #expect(droppedTold == answer.droppedCount)
        #expect(policy == .dropOldest || droppedTold == 0)
        #expect(conversation.awaitsAnswer)
        #expect(conversation.visibleMessages.first?.role == (system == nil ? .user : .system))
        if let last = answer.tokens.last, answer.stop != .interrupted, droppedTold == 0 {
          var fresh = FakeEngine(
            contextLength: contextLength, endRate: responder.engine.endRate)
          try fresh.append(
            fakeTokens(conversation.visibleMessages) + answer.tokens.dropLast(),
            isCancelled: { false })
          let expected = try fresh.nextToken(history: [])
          #expect(expected == last)
        }
        if answer.stop == .interrupted, answer.tokens.isEmpty {
          conversation.withdraw(.user)
        } else {
          conversation.append(.assistant, String(repeating: "a", count: answer.tokens.count))
        }
      } catch ChatError.tooLong {
        conversation.clear()
      }
      // Position by position: no token is missing, doubled or out of place.
      #expect(responder.evaluated == responder.engine.tokens)
      #expect(responder.engine.highest <= contextLength)
      if system != nil, responder.evaluated.count >= 6 {
        #expect(Array(responder.evaluated.prefix(6)) == [5000, 5001, 115, 121, 115, 5004])
      }
    }
  }
}
