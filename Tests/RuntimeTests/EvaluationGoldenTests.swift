import DuetEvaluation
import DuetRuntime
import DuetText
import Foundation
import TestSupport
import Testing

/// 200 documents of each task against a scorer in float64, from Scripts/golden/evaluate.py.
@Suite("Evaluation against a scorer in float64")
struct EvaluationGoldenTests {
  /// A document: right answer, argmax, argmax per character, tokens, log-likelihoods.
  private struct Golden {
    let gold: Int
    let prediction: Int
    let normalizedPrediction: Int
    let contextTokenCounts: [Int]
    let continuationTokenCounts: [Int]
    let logLikelihoods: [Double]

    init(_ row: Any) throws {
      let row = try #require(row as? [Any])
      gold = try #require(row[0] as? Int)
      prediction = try #require(row[1] as? Int)
      normalizedPrediction = try #require(row[2] as? Int)
      contextTokenCounts = try #require(row[3] as? [Int])
      continuationTokenCounts = try #require(row[4] as? [Int])
      logLikelihoods = try #require(row[5] as? [Double])
    }
  }

  @Test(
    "log-likelihoods and answers are those of the scorer",
    .enabled(
      if: SharedData.path("tasks") != nil && SharedData.path("models/stories260K") != nil,
      "../shared is absent"),
    arguments: ["stories", "stories260K"], EvaluationProtocol.allCases)
  func logLikelihoods(model name: String, protocol: EvaluationProtocol) throws {
    let folder = try #require(SharedData.path("models/\(name)"))
    let file = SharedData.project("Tests/Golden/evaluate/\(name)-\(`protocol`.rawValue).json")
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: file)))
        as? [String: Any])
    let model = try Model(contentsOf: folder)
    let tokenizer = try Tokenizer(contentsOf: folder)
    for task in SharedData.tasks {
      let goldens = try #require(object[task.name] as? [Any]).map(Golden.init)
      #expect(goldens.count == 200)
      let plan = try EvaluationPlan(
        TaskData(task, folder: SharedData.path("tasks")), limit: goldens.count,
        protocol: `protocol`, tokenizer: tokenizer,
        contextLength: model.configuration.contextLength)
      var scorer = try ContinuationScorer(model, longestSequence: plan.longestSequence)
      var samples: [EvaluationSample] = []
      for step in plan.steps.indices { samples += try plan.score(step: step, &scorer) }
      var largest = 0.0
      for (sample, golden) in zip(samples, goldens) {
        let place: Comment = "\(name), \(task.name), document \(sample.index)"
        #expect(sample.gold == golden.gold, place)
        #expect(sample.prediction == golden.prediction, place)
        if task.hasNormalizedAccuracy {
          #expect(sample.normalizedPrediction == golden.normalizedPrediction, place)
        }
        #expect(sample.choices.map(\.contextTokenCount) == golden.contextTokenCounts, place)
        #expect(
          sample.choices.map(\.continuationTokenCount) == golden.continuationTokenCounts, place)
        for (value, right) in zip(sample.logLikelihoods, golden.logLikelihoods) {
          largest = max(largest, abs(value - right))
        }
      }
      // The bar of the issue. Single precision has six digits of a logit of 10: hundreds of tokens with
      // errors of 1e-5 and either sign add up to a few 1e-4.
      #expect(largest < 1e-3, "\(name), \(task.name): \(largest)")
    }
  }
}
