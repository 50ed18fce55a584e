import DuetEvaluation
import DuetRuntime
import DuetSystem
import DuetText
import Foundation
import TestSupport
import Testing

/// Real texts, tokenizers and models against published or recorded figures.
@Suite("Perplexity of real texts")
struct PerplexityReferenceTests {
  private func readText(
    _ path: String, _ name: PerplexityProtocol, _ options: EvaluationText.Options = .init()
  ) throws -> EvaluationText {
    try EvaluationText(readFile(path, limit: 1 << 30), path: path, protocol: name, options: options)
  }

  private func plan(
    _ text: EvaluationText, _ tokenizer: Tokenizer, _ name: PerplexityProtocol, context: Int,
    bos: BeginningRule = .auto, tail: TailRule? = nil
  ) throws -> WindowPlan {
    try WindowPlan(
      documents: text.documents.map { tokenizer.encode($0.text, addingSpecialTokens: false) },
      protocol: name, contextLength: context, beginning: bos, tail: tail,
      beginningToken: tokenizer.beginningOfSequence,
      addsBeginning: tokenizer.addsBeginningOfSequence, path: "text")
  }

  // Windows of WikiText-2 as in published logs: 83 at 4096 and 166 at 2048 for Llama-2 (Wanda, issue
  // 52), 141 at 2048 for Llama-3; 655 chunks of 512 of the raw file for Llama-2 (llama.cpp, pull
  // request 270) and 564 for Llama-3 (pull request 6936).
  @Test(
    "the numbers of windows are those published",
    .enabled(
      if: SharedData.path("text/wiki.test.raw") != nil && SharedData.path("tokenizers") != nil),
    arguments: [
      ("llama2", PerplexityProtocol.paper, 4096, 83), ("llama2", .paper, 2048, 166),
      ("llama2", .llamaCpp, 512, 655), ("llama3", .paper, 2048, 141),
      ("llama3", .llamaCpp, 512, 564),
    ])
  func publishedWindowCounts(
    family: String, name: PerplexityProtocol, context: Int, expected: Int
  ) throws {
    let tokenizer = try Tokenizer(
      contentsOf: #require(SharedData.path("tokenizers/\(family)")))
    let text = try readText(#require(SharedData.path("text/wiki.test.raw")), name)
    let plan = try plan(text, tokenizer, name, context: context)
    #expect(plan.windowCount == expected)
    if family == "llama2", name == .paper { #expect(plan.tokenCount == 341_469) }
  }

  /// models/stories/reference.json: the same run has both of its figures, since the paper's protocol
  /// is the one that also scores the tail, stopped before the last window.
  @Test("the loss of models/stories on its held-out text is the recorded one")
  func storiesHeldOut() throws {
    let folder = SharedData.project("models/stories")
    let model = try Model(contentsOf: folder)
    let text = try readText(folder + "/heldout.txt", .paper)
    let plan = try plan(
      text, Tokenizer(contentsOf: folder), .paper, context: 512, tail: .score)
    #expect(plan.windowCount == 72)
    #expect(plan.tokenCount == 36521)
    #expect(plan.targetCount == 36449)
    var session = try Session(model, options: SessionOptions(contextLength: 512))
    var measurement = PerplexityMeasurement(plan)
    while measurement.windowsDone < 71 { try measurement.scoreNextWindow(&session) }
    // 1e-4 is the project's bound for the mean loss with an F16 cache against single precision.
    #expect(measurement.scoredTokenCount == 36281)
    #expect(abs(try #require(measurement.loss.mean) - 1.077657) < 1e-4)
    // The recorded error is over tokens, with five digits.
    let error = try #require(measurement.loss.standardErrorOverObservations)
    #expect(abs(measurement.perplexity * error - 0.03583) < 1e-5 + 3 * 0.03583e-4)
    try measurement.scoreNextWindow(&session)
    #expect(measurement.isComplete)
    #expect(abs(try #require(measurement.loss.mean) - 1.090481) < 1e-4)
  }
}
