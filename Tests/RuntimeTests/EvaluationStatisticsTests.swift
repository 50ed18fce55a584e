import DuetEvaluation
import DuetText
import Foundation
import TestSupport
import Testing

/// Accuracies, their errors, and pairs, against the definitions written out.
@Suite("Statistics of evaluations")
struct EvaluationStatisticsTests {
  private func sample(
    _ values: [Double], _ answers: [String], gold: Int, index: Int = 0
  ) throws -> EvaluationSample {
    let document = ChoiceDocument(
      choices: answers.map { .init(context: "b", answer: $0) }, gold: gold)
    let tokenizer = try TokenizerFixture.tokenizer(TokenizerFixture.sentencePiece())
    let encoded = try EncodedDocument(
      document, protocol: .separate, tokenizer: tokenizer, contextLength: 50)
    return EvaluationSample(
      index: index, document: document, encoded: encoded, logLikelihoods: values)
  }

  @Test("of answers that are as likely the first is taken")
  func theFirstOfEqualsIsTaken() throws {
    let tie = try sample([-3, -2, -2], ["a", "b", "c"], gold: 2)
    #expect(tie.prediction == 1)
    #expect(tie.normalizedPrediction == 1)
    #expect(!tie.isCorrect)
    let all = try sample([-2, -2], ["a", "b"], gold: 0)
    #expect(all.prediction == 0 && all.isCorrect)
  }

  @Test("the length of an answer is counted in code points")
  func codePointsCount() throws {
    // "e" and a combining accent are one letter but two code points; -3 / 2 beats -2 / 1.
    let sample = try sample([-2, -3], ["b", "e\u{301}"], gold: 1)
    #expect(sample.prediction == 0)
    #expect(sample.normalizedPrediction == 1)
    #expect(sample.lengths == [1, 2])
    // An answer of nothing is never the best by length.
    #expect(try self.sample([-0.1, -9], ["", "b"], gold: 0).normalizedPrediction == 1)
  }

  @Test("accuracies and their errors follow the definitions")
  func accuracyAndItsError() throws {
    let values: [[Double]] = [[-1, -2], [-2, -1], [-1, -2], [-1, -2]]
    let samples = try values.enumerated().map { index, values in
      try sample(values, ["a", "b"], gold: 0, index: index)
    }
    let piqa = try #require(EvaluationTask(named: "piqa"))
    let score = EvaluationScore(samples, of: piqa)
    #expect(score.documentCount == 4)
    #expect(score.accuracy.value == 0.75)
    // Deviations 1/4, 3/4, 1/4, 1/4: variance 0.75 / 3 = 0.25, error 0.5 / 2; a few roundings.
    #expect(abs(try #require(score.accuracy.standardError) - 0.25) < 1e-15)
    #expect(score.normalizedAccuracy?.value == 0.75)
    let winogrande = try #require(EvaluationTask(named: "winogrande"))
    #expect(EvaluationScore(samples, of: winogrande).normalizedAccuracy == nil)
    #expect(EvaluationScore([samples[0]], of: piqa).accuracy.standardError == nil)
    #expect(score.flagCounts.isEmpty)
  }

  @Test("paired counts and their difference follow the definitions")
  func pairs() throws {
    let first = [true, true, true, false, false, true, false]
    let second = [true, false, true, true, false, false, false]
    let counts = PairedCounts(first, second)
    #expect(counts.bothRight == 2)
    #expect(counts.onlyFirst == 2)
    #expect(counts.onlySecond == 1)
    #expect(counts.bothWrong == 2)
    // Differences 0, 1, 0, -1, 0, 1, 0: mean 1/7, variance (3 - 1/7) / 6.
    #expect(abs(counts.difference.value - 1 / 7.0) < 1e-15)
    let error = ((3 - 1 / 7.0) / 6 / 7).squareRoot()
    #expect(abs(try #require(counts.difference.standardError) - error) < 1e-15)
  }

  @Test("outcomes are read back, and malformed ones refused")
  func outcomesComeBack() throws {
    let samples = try [[-1.0, -2], [-2, -1]].enumerated().map { index, values in
      try sample(values, ["a", "b"], gold: 0, index: index)
    }
    for name in ["piqa", "winogrande"] {
      let outcomes = EvaluationOutcomes(samples, of: try #require(EvaluationTask(named: name)))
      let text = Array(outcomes.json.text.utf8)
      let document = try JSONDocument(parsing: text, path: "outcomes", limits: .smallFile)
      #expect(EvaluationOutcomes(document.root) == outcomes)
    }
    for text in [
      "{}", #"{"documents_sha256":"a","acc":"012"}"#, #"{"documents_sha256":"a","acc":""}"#,
      #"{"documents_sha256":"a","acc":"01","acc_norm":"0"}"#,
    ] {
      let document = try JSONDocument(
        parsing: Array(text.utf8), path: "outcomes", limits: .smallFile)
      #expect(EvaluationOutcomes(document.root) == nil, "\(text)")
    }
  }
}
