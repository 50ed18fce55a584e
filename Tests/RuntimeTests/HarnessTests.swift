import DuetEvaluation
import DuetRuntime
import DuetText
import Foundation
import TestSupport
import Testing

/// What lm-eval itself makes of made-up documents, from Scripts/golden/harness.py.
private struct HarnessGolden {
  /// A document: the digest of its texts, the right answer, log-likelihoods, greedy continuations.
  struct Document {
    let digest: String
    let gold: Int
    let logLikelihoods: [Double]
    let isGreedy: [Bool]

    init(_ row: Any) throws {
      let row = try #require(row as? [Any])
      digest = try #require(row[0] as? String)
      gold = try #require(row[1] as? Int)
      logLikelihoods = try #require(row[2] as? [Double])
      isGreedy = try #require(row[3] as? [Int]).map { $0 == 1 }
    }
  }

  static let folder = SharedData.project("Tests/Golden/evaluate/harness")

  let documents: [String: [Document]]
  /// The contexts and continuations of the first document of each task, of MMLU of one subject.
  let first: [String: [[String]]]
  let results: [String: [String: Any]]
  let parts: [String: [String]]

  init(exampleCount: Int) throws {
    let url = URL(fileURLWithPath: Self.folder + "/results.json")
    let root = try #require(
      try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any])
    let run = try #require(root[exampleCount == 0 ? "zero" : "five"] as? [String: Any])
    let tasks = try #require(run["tasks"] as? [String: [Any]])
    documents = try tasks.mapValues { try $0.map(Document.init) }
    first = try #require(run["first"] as? [String: [[String]]])
    results = try #require(run["results"] as? [String: [String: Any]])
    parts = try #require(run["group_subtasks"] as? [String: [String]])
  }

  /// The documents of a plan, of MMLU the first ones of each subject.
  func documents(of plan: EvaluationPlan) throws -> [Document] {
    guard !plan.sections.isEmpty else { return try #require(documents[plan.data.task.name]) }
    return try plan.sections.flatMap { section in
      try #require(documents["mmlu_" + section.subject]).prefix(section.documents.count)
    }
  }

  func number(_ task: String, _ metric: String) throws -> Double {
    try #require(results[task]?[metric] as? Double, "\(task) \(metric)")
  }
}

/// The tasks and the numbers of examples before their questions.
private let runs: [(EvaluationTask, Int)] =
  EvaluationTask.named.map { ($0, 0) }
  + EvaluationTask.named.filter(\.hasExamples).map { ($0, 5) }

@Suite("Tasks as lm-eval runs them")
struct HarnessTests {
  private let model: Model
  private let tokenizer: Tokenizer

  init() throws {
    let folder = SharedData.project("models/stories")
    model = try Model(contentsOf: folder)
    tokenizer = try Tokenizer(contentsOf: folder)
  }

  private func plan(
    _ task: EvaluationTask, _ exampleCount: Int, limit: Int? = nil
  ) throws -> EvaluationPlan {
    try EvaluationPlan(
      TaskData(task, folder: HarnessGolden.folder, exampleCount: exampleCount), limit: limit,
      protocol: .joined, tokenizer: tokenizer, contextLength: model.configuration.contextLength)
  }

  @Test("contexts, continuations and right answers are those of lm-eval", arguments: runs)
  func texts(task: EvaluationTask, exampleCount: Int) throws {
    let golden = try HarnessGolden(exampleCount: exampleCount)
    let plan = try plan(task, exampleCount)
    let expected = try golden.documents(of: plan)
    #expect(plan.texts.count == (task.name == "mmlu" ? 114 : 100))
    let starts = plan.sections.isEmpty ? [0] : plan.sections.map(\.documents.lowerBound)
    let names = plan.sections.isEmpty ? [task.name] : plan.sections.map { "mmlu_" + $0.subject }
    let first = try #require(zip(starts, names).first { golden.first[$0.1] != nil })
    let texts = plan.texts[first.0].choices.map { [$0.context, $0.continuation] }
    #expect(texts == golden.first[first.1])
    #expect(plan.texts.map(\.gold) == expected.map(\.gold))
    #expect(plan.texts.map(\.digest) == expected.map(\.digest))
  }

  @Test("results follow from log-likelihoods as in lm-eval", arguments: runs)
  func results(task: EvaluationTask, exampleCount: Int) throws {
    let golden = try HarnessGolden(exampleCount: exampleCount)
    let plan = try plan(task, exampleCount)
    let samples = try zip(plan.texts, golden.documents(of: plan)).enumerated().map { index, pair in
      EvaluationSample(
        index: index, document: pair.0, encoded: plan.documents[index],
        logLikelihoods: pair.1.logLikelihoods,
        isGreedy: task.isGreedy ? pair.1.isGreedy[0] : nil)
    }
    /// The two are sums of some hundred numbers in Double, in any order.
    func expect(_ estimate: Estimate, _ task: String, _ metric: String) throws {
      #expect(abs(estimate.value - (try golden.number(task, "\(metric),none"))) < 1e-12)
      let error = try golden.number(task, "\(metric)_stderr,none")
      #expect(abs(try #require(estimate.standardError) - error) < 1e-12, "\(task) \(metric)")
    }
    if let score = MMLUScore(samples, of: plan) {
      #expect(score.entries.count == 1 + 4 + 57)
      for entry in score.entries {
        try expect(entry.accuracy, entry.name, "acc")
        #expect(golden.results[entry.name]?["alias"] as? String == entry.alias)
        #expect(golden.results[entry.name]?["sample_len"] as? Int == entry.documentCount)
        #expect(Set(golden.parts[entry.name] ?? []) == Set(entry.parts), "\(entry.name)")
      }
      let all = try #require(score.entries[0].macroAccuracy)
      let own = score.entries.filter { $0.depth == 2 }
      #expect(abs(all.value - own.reduce(0) { $0 + $1.accuracy.value } / 57) < 1e-12)
      return
    }
    let score = EvaluationScore(samples, of: task)
    try expect(score.accuracy, task.name, "acc")
    let metrics = try #require(golden.results[task.name])
    #expect((score.normalizedAccuracy != nil) == (metrics["acc_norm,none"] != nil))
    #expect((score.perplexity != nil) == (metrics["perplexity,none"] != nil))
    if let normalized = score.normalizedAccuracy { try expect(normalized, task.name, "acc_norm") }
    if let perplexity = score.perplexity {
      let value = try golden.number(task.name, "perplexity,none")
      // The recorded log-likelihoods have six decimals.
      #expect(abs(perplexity.value / value - 1) < 1e-6)
      // lm-eval resamples a thousand times, which alone leaves an error of 1 / sqrt(2000), 2.2 %; the
      // first order of exp leaves out a relative term of about the error of the mean, here a third.
      let error = try golden.number(task.name, "perplexity_stderr,none")
      #expect(abs(try #require(perplexity.standardError) / error - 1) < 0.4)
    }
  }

  @Test("log-likelihoods and answers of a model are those of lm-eval", arguments: runs)
  func logLikelihoods(task: EvaluationTask, exampleCount: Int) throws {
    let golden = try HarnessGolden(exampleCount: exampleCount)
    // Six questions of 300 tokens take long: with examples one question of each subject.
    let plan = try plan(task, exampleCount, limit: exampleCount > 0 ? 1 : nil)
    var scorer = try ContinuationScorer(model, longestSequence: plan.longestSequence)
    var largest = 0.0
    var truncatedCount = 0
    var samples: [EvaluationSample] = []
    for step in plan.steps.indices { samples += try plan.score(step: step, &scorer) }
    for (sample, expected) in zip(samples, try golden.documents(of: plan)) {
      #expect(sample.logLikelihoods.count == expected.logLikelihoods.count)
      for (value, right) in zip(sample.logLikelihoods, expected.logLikelihoods) {
        largest = max(largest, abs(value - right))
      }
      if let isGreedy = sample.isGreedy {
        #expect(isGreedy == expected.isGreedy[0], "\(task.name), document \(sample.index)")
      }
      if sample.choices[0].flags.contains(.contextTruncated) { truncatedCount += 1 }
    }
    // As in `EvaluationGoldenTests`; here both sides compute in single precision.
    #expect(largest < 1e-3, "\(task.name): \(largest)")
    #expect((truncatedCount > 0) == (task.name == "boolq"))
  }
}
