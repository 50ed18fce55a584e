import DuetEvaluation
import Foundation
import TestSupport
import Testing

/// The executable on the made-up documents that lm-eval has run; see Scripts/golden/harness.py.
@Suite("Command line of evaluate on lm-eval's tasks")
struct EvaluateHarnessTests {
  private let model = SharedData.project("models/stories")
  private let data = SharedData.project("Tests/Golden/evaluate/harness")

  private func evaluate(_ arguments: String...) throws -> ExecutableResult {
    try runExecutable(
      "evaluate", ["-m", model, "--data", data, "-t", "1", "--quiet"] + arguments)
  }

  private func object(_ run: ExecutableResult) throws -> [String: Any] {
    #expect(run.exitCode == 0, "\(run.stderr)")
    return try #require(try JSONSerialization.jsonObject(with: run.outputBytes) as? [String: Any])
  }

  @Test("metrics have the names and values of lm-eval")
  func metrics() throws {
    let results = try #require(
      try object(try evaluate("--tasks", "rte,lambada_openai", "--json"))["results"]
        as? [String: [String: Double]])
    let url = URL(fileURLWithPath: data + "/results.json")
    let golden = try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any]
    let run = try #require(golden?["zero"] as? [String: Any])
    let expected = try #require(run["results"] as? [String: [String: Any]])
    #expect(Set(results.keys) == ["rte", "lambada_openai"])
    for (task, metrics) in results {
      for (metric, value) in metrics where metric != "perplexity_stderr,none" {
        let right = try #require(expected[task]?[metric] as? Double, "\(task) \(metric)")
        // The mean log-likelihood may be off by 1e-3 as in `HarnessTests`; accuracies are not.
        #expect(abs(value / right - 1) < 1e-3, "\(task) \(metric)")
      }
    }
    #expect(
      Set(results["lambada_openai"]?.keys.map { $0 } ?? []) == [
        "acc,none", "acc_stderr,none", "perplexity,none", "perplexity_stderr,none",
      ])
  }

  @Test("MMLU has a row for all, for each group and for each subject")
  func subjects() throws {
    let run = try evaluate("--tasks", "mmlu,rte", "--limit", "1")
    #expect(run.stdout.hasPrefix("partial, not comparable; lm-eval-0.4: "))
    let lines = run.stdout.split(separator: "\n").map(String.init)
    let rows = lines.filter { $0.hasPrefix("|") }
    // The head, its line, 62 rows, the mean over subjects, and RTE.
    #expect(rows.count == 2 + 62 + 1 + 1)
    #expect(rows[2].wholeMatch(of: #/\|mmlu\|57\|0\.\d{4}\|unknown\|\|\|/#) != nil, "\(rows[2])")
    #expect(rows[3].hasPrefix("|mmlu, mean over subjects|57|"))
    #expect(rows[4].hasPrefix("| - stem|19|"))
    #expect(rows[5].hasPrefix("|  - abstract_algebra|1|"))
    #expect(rows[65].hasPrefix("|rte|1|"))
    #expect(run.stdout.contains("  mmlu: \(data)/mmlu/test.jsonl, 57 of 114 documents"))

    let document = try object(try evaluate("--tasks", "mmlu", "--limit", "1", "--json"))
    let results = try #require(document["results"] as? [String: [String: Any]])
    #expect(results.count == 62)
    #expect(results["mmlu_social_sciences"]?["alias"] as? String == "social sciences")
    #expect(results["mmlu_anatomy"]?["alias"] as? String == "anatomy")
    #expect(results["mmlu_anatomy"]?["acc_macro,none"] == nil)
    #expect(
      results["mmlu"]?["acc_macro,none"] as? Double == results["mmlu"]?["acc,none"] as? Double)
    let groups = try #require(document["groups"] as? [String: [String: Any]])
    #expect(groups.count == 5)
    let parts = try #require(document["group_subtasks"] as? [String: [String]])
    #expect(
      parts["mmlu"] == ["mmlu_stem", "mmlu_other", "mmlu_social_sciences", "mmlu_humanities"])
    #expect(parts["mmlu_stem"]?.count == 19)
    #expect((document["n-shot"] as? [String: Int]) == ["mmlu": 0])
  }

  @Test("examples change the questions, and are part of what a run is resumed with")
  func examples() throws {
    let folder = try TemporaryFolder()
    func run(_ count: String, _ options: String...) throws -> ExecutableResult {
      try runExecutable(
        "evaluate",
        [
          "-m", model, "--data", data, "-t", "1", "--quiet", "--tasks", "mmlu", "--limit", "1",
          "--num-fewshot", count, "--samples-out", folder.path,
        ] + options)
    }
    let whole = try run("1", "--json")
    #expect(try object(whole)["n-shot"] as? [String: Int] == ["mmlu": 1])
    let bytes = try folder.read("samples_mmlu.jsonl")
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    #expect(lines.count == 57)
    #expect(lines[0].contains("\"subject\":\"abstract_algebra\""))
    try folder.write("samples_mmlu.jsonl", Array(bytes.prefix(bytes.count / 2)))
    let resumed = try run("1", "--json", "--resume")
    #expect(resumed.outputBytes == whole.outputBytes)
    #expect(try folder.read("samples_mmlu.jsonl") == bytes)
    let other = try run("0", "--resume")
    #expect(other.exitCode == 6)
    #expect(other.stderr.contains("(then "), "\(other.stderr)")
  }

  @Test("greedy answers are recorded, compared and resumed")
  func greedyAnswers() throws {
    let folder = try TemporaryFolder()
    let whole = try evaluate("--tasks", "lambada_openai", "--samples-out", folder.path, "--json")
    let document = try object(whole)
    let outcomes = try #require(
      (document["outcomes"] as? [String: Any])?["lambada_openai"] as? [String: Any])
    let digits = try #require(outcomes["acc"] as? String)
    #expect(digits.contains("1") && digits.contains("0"))
    let bytes = try folder.read("samples_lambada_openai.jsonl")
    for (line, digit) in zip(String(decoding: bytes, as: UTF8.self).split(separator: "\n"), digits)
    {
      #expect(line.contains("\"is_greedy\":\(digit),"))
    }
    try folder.write("samples_lambada_openai.jsonl", Array(bytes.prefix(bytes.count / 2)))
    let resumed = try evaluate(
      "--tasks", "lambada_openai", "--samples-out", folder.path, "--json", "--resume")
    #expect(resumed.outputBytes == whole.outputBytes)
    #expect(try folder.read("samples_lambada_openai.jsonl") == bytes)
    let other = try folder.write("other.json", whole.stdout)
    let compared = try evaluate("--tasks", "lambada_openai", "--compare", other)
    #expect(compared.stdout.contains("|Task|n|acc|±|acc_norm|±|perplexity|±|\n"))
    #expect(compared.stdout.contains(#/\|lambada_openai\|acc\|100\|\d+\|0\|0\|\d+\|0\.0000\|/#))
  }

  @Test("what lm-eval does not define is refused")
  func refusals() throws {
    expectRefusal(
      try evaluate("--tasks", "mmlu", "--protocol", "lm-eval-0.3"), code: 2,
      "use --protocol lm-eval-0.4")
    expectRefusal(
      try evaluate("--tasks", "mmlu,rte", "--num-fewshot", "5"), code: 2,
      "--num-fewshot is for mmlu")
    expectRefusal(try evaluate("--tasks", "mmlu", "--num-fewshot", "6"), code: 2, "from 0 to 5")
    let older = try evaluate(
      "--tasks", "boolq,rte,lambada_openai", "--protocol", "lm-eval-0.3", "--limit", "2")
    #expect(older.exitCode == 0, "\(older.stderr)")
  }
}
