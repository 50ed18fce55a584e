import DuetEvaluation
import Testing

/// Examples worked by hand: the text is 10, 11, 12, ...; BOS is 1.
@Suite("Plan of windows")
struct PerplexityWindowPlanTests {
  private func plan(
    _ count: Int, _ name: PerplexityProtocol, context: Int, bos: BeginningRule = .auto,
    tail: TailRule? = nil, token: Int? = 1, adds: Bool = true
  ) throws(PerplexityError) -> WindowPlan {
    try WindowPlan(
      documents: [Array(10..<10 + count)], protocol: name, contextLength: context, beginning: bos,
      tail: tail, beginningToken: token, addsBeginning: adds, path: "text")
  }

  private func windows(_ plan: WindowPlan) -> [[[Int]]] {
    (0..<plan.windowCount).map { [plan[$0].inputs, plan[$0].targets] }
  }

  @Test("the paper's protocol has one BOS and drops the tail")
  func paperHasOneBeginningAndDropsTheTail() throws {
    let plan = try plan(10, .paper, context: 4)
    #expect(windows(plan) == [[[1, 10, 11], [10, 11, 12]], [[13, 14, 15], [14, 15, 16]]])
    #expect(plan.beginning == .first)
    #expect(plan.tail == .drop)
    #expect(plan.tokenCount == 11)
    #expect(plan.droppedTokenCount == 3)
    #expect(plan.targetCount == 6)
  }

  @Test("the paper's protocol may score the tail")
  func paperMayScoreTheTail() throws {
    let plan = try plan(10, .paper, context: 4, tail: .score)
    #expect(windows(plan).last == [[17, 18], [18, 19]])
    #expect(plan.droppedTokenCount == 0)
    // One token alone has nothing before it.
    let single = try self.plan(8, .paper, context: 4, tail: .score)
    #expect(single.windowCount == 2)
    #expect(single.droppedTokenCount == 1)
  }

  @Test("the paper's protocol can do without BOS")
  func paperWithoutBeginning() throws {
    for plan in [
      try plan(4, .paper, context: 4, bos: .never), try plan(4, .paper, context: 4, adds: false),
    ] {
      #expect(windows(plan) == [[[10, 11, 12], [11, 12, 13]]])
      #expect(plan.beginning == .never)
    }
    let forced = try plan(3, .paper, context: 4, bos: .first, adds: false)
    #expect(windows(forced) == [[[1, 10, 11], [10, 11, 12]]])
  }

  @Test("each window may have its own BOS")
  func everyWindowWithItsOwnBeginning() throws {
    let plan = try plan(8, .paper, context: 4, bos: .every)
    #expect(
      windows(plan) == [
        [[1, 10, 11], [10, 11, 12]], [[1, 13, 14], [13, 14, 15]], [[1, 16], [16, 17]],
      ])
    #expect(plan.tail == .score)
    #expect(plan.tokenCount == 8)
    #expect(plan.targetCount == 8)
    #expect(try self.plan(8, .paper, context: 4, bos: .every, tail: .drop).droppedTokenCount == 2)
    // A tail of one token is predicted from its BOS.
    #expect(try windows(self.plan(4, .paper, context: 4, bos: .every)).last == [[1], [13]])
  }

  @Test("llama.cpp predicts the second half of a window")
  func llamaCppPredictsTheSecondHalf() throws {
    // C = 6: logits C/2 ... C - 2 = 3, 4 predict tokens 4 and 5 of a window.
    let plan = try plan(13, .llamaCpp, context: 6)
    #expect(
      windows(plan) == [[[1, 10, 11, 12, 13], [13, 14]], [[1, 16, 17, 18, 19], [19, 20]]])
    #expect(plan.beginning == .every)
    #expect(plan.droppedTokenCount == 2)
    #expect(plan[0].firstScored == 3)
    let odd = try self.plan(13, .llamaCpp, context: 5)
    // C - C/2 - 1 = 2 predictions, from logits 2 and 3.
    #expect(windows(odd).first == [[1, 10, 11, 12], [12, 13]])
    let first = try self.plan(11, .llamaCpp, context: 6, bos: .first)
    #expect(
      windows(first) == [[[1, 10, 11, 12, 13], [13, 14]], [[15, 16, 17, 18, 19], [19, 20]]])
    let never = try self.plan(12, .llamaCpp, context: 6, adds: false)
    #expect(windows(never)[1] == [[16, 17, 18, 19, 20], [20, 21]])
  }

  @Test("lm-eval rolls over each document")
  func lmEvalRollsOverEachDocument() throws {
    let plan = try WindowPlan(
      documents: [Array(10..<20), [30, 31]], protocol: .lmEval, contextLength: 4,
      beginningToken: 1, addsBeginning: false, path: "text")
    #expect(
      windows(plan) == [
        [[1, 10, 11, 12], [10, 11, 12, 13]],
        [[13, 14, 15, 16], [14, 15, 16, 17]],
        [[15, 16, 17, 18], [18, 19]],
        [[1, 30], [30, 31]],
      ])
    #expect((0..<4).map { plan[$0].document } == [0, 0, 0, 1])
    #expect(plan.targetCount == 12)
  }

  @Test("lm-eval predicts the BOS that the tokenizer adds")
  func lmEvalPredictsTheBeginningThatTheTokenizerAdds() throws {
    #expect(try windows(plan(2, .lmEval, context: 4)) == [[[1, 1, 10], [1, 10, 11]]])
    #expect(try windows(plan(2, .lmEval, context: 4, bos: .first)) == [[[1, 10], [10, 11]]])
  }

  @Test("a plan can be limited to its first windows")
  func limiting() throws {
    let plan = try plan(40, .paper, context: 4)
    #expect(plan.windowCount == 10)
    let limited = plan.limited(to: 3)
    #expect(limited.windowCount == 3)
    #expect(limited.omittedWindowCount == 7)
    #expect(windows(limited) == Array(windows(plan).prefix(3)))
    #expect(plan.limited(to: 10).omittedWindowCount == 0)
    #expect(plan.limited(to: 99).windowCount == 10)
  }

  @Test("a text shorter than a window is one shorter window when the tail is scored")
  func shortText() throws {
    let plan = try plan(5, .paper, context: 512, tail: .score)
    #expect(windows(plan) == [[[1, 10, 11, 12, 13], [10, 11, 12, 13, 14]]])
    #expect(plan.tokenCount == 6 && plan.droppedTokenCount == 0)
    #expect(
      try windows(self.plan(2, .paper, context: 512, bos: .never, tail: .score)) == [[[10], [11]]])
    #expect(try windows(self.plan(1, .paper, context: 512, tail: .score)) == [[[1], [10]]])
    #expect(
      try windows(self.plan(2, .paper, context: 512, bos: .every)) == [[[1, 10], [10, 11]]])
  }

  @Test("a text that is too short is refused")
  func tooShort() {
    #expect(
      throws: PerplexityError.textTooShort(
        path: "text", tokenCount: 3, neededCount: 4, contextLength: 4)
    ) { try plan(2, .paper, context: 4) }
    #expect(
      throws: PerplexityError.textTooShort(
        path: "text", tokenCount: 2, neededCount: 3, contextLength: 4)
    ) { try plan(2, .paper, context: 4, bos: .every, tail: .drop) }
    #expect(throws: Never.self) { try plan(3, .paper, context: 4, bos: .every, tail: .drop) }
    // Nothing to predict.
    #expect(
      throws: PerplexityError.textTooShort(
        path: "text", tokenCount: 0, neededCount: 1, contextLength: 4)
    ) { try plan(0, .paper, context: 4, bos: .every) }
    #expect(
      throws: PerplexityError.textTooShort(
        path: "text", tokenCount: 1, neededCount: 2, contextLength: 4)
    ) { try plan(0, .paper, context: 4, tail: .score) }
    #expect(throws: PerplexityError.self) {
      try plan(1, .paper, context: 4, tail: .score, adds: false)
    }
    #expect(
      throws: PerplexityError.textTooShort(
        path: "text", tokenCount: 11, neededCount: 12, contextLength: 6)
    ) { try plan(10, .llamaCpp, context: 6) }
    #expect(throws: Never.self) { try plan(11, .llamaCpp, context: 6) }
    #expect(throws: PerplexityError.self) { try plan(0, .lmEval, context: 6, bos: .first) }
    // The BOS that the tokenizer adds is no text.
    #expect(
      throws: PerplexityError.textTooShort(
        path: "text", tokenCount: 1, neededCount: 2, contextLength: 6)
    ) { try plan(0, .lmEval, context: 6) }
    #expect(throws: PerplexityError.self) { try plan(0, .paper, context: 1 << 24) }
  }

  @Test("rules that do not go together are refused")
  func rulesThatDoNotGoTogether() {
    #expect(throws: PerplexityError.noBeginningToken) {
      try plan(9, .paper, context: 4, bos: .every, token: nil)
    }
    #expect(throws: PerplexityError.noBeginningToken) {
      try plan(9, .lmEval, context: 4, token: nil, adds: false)
    }
    #expect(throws: Never.self) { try plan(9, .paper, context: 4, token: nil, adds: false) }
    for bos in [BeginningRule.every, .never] {
      #expect(
        throws: PerplexityError.ruleNotInProtocol(
          option: "--bos", value: bos.rawValue, protocol: .lmEval)
      ) { try plan(9, .lmEval, context: 4, bos: bos) }
    }
    #expect(throws: PerplexityError.self) { try plan(99, .llamaCpp, context: 4, tail: .score) }
    #expect(throws: PerplexityError.self) { try plan(99, .lmEval, context: 4, tail: .drop) }
    #expect(
      throws: PerplexityError.contextTooShort(contextLength: 1, minimum: 2, protocol: .paper)
    ) { try plan(9, .paper, context: 1) }
    #expect(throws: PerplexityError.self) { try plan(9, .llamaCpp, context: 2) }
    #expect(throws: PerplexityError.self) { try plan(9, .lmEval, context: 0) }
  }
}
