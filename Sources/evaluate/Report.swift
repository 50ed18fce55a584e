import DuetCommandLine
import DuetEvaluation
import DuetSystem

/// The results of a task.
struct TaskResult {
  let planned: PlannedTask
  let score: EvaluationScore
  let outcomes: EvaluationOutcomes
  /// The accuracies by subject, of MMLU only.
  let subjects: MMLUScore?

  init(_ planned: PlannedTask, _ samples: [EvaluationSample]) {
    self.planned = planned
    score = EvaluationScore(samples, of: planned.task)
    outcomes = EvaluationOutcomes(samples, of: planned.task)
    subjects = MMLUScore(samples, of: planned.plan)
  }

  var name: String { planned.task.name }
}

/// The results of all tasks as text.
struct Report {
  let model: String
  let results: [TaskResult]
  let other: OtherResults?
  let arguments: Arguments

  /// Whether only a part of the documents was scored.
  var isPartial: Bool { results.contains { $0.planned.plan.isPartial } }

  /// The definition of the results, the table, the data and the comparison.
  var lines: [String] {
    let hasPerplexity = results.contains { $0.score.perplexity != nil }
    var lines = [
      definition, "", "|Task|n|acc|±|acc_norm|±|" + (hasPerplexity ? "perplexity|±|" : ""),
      "|---|--:|--:|--:|--:|--:|" + (hasPerplexity ? "--:|--:|" : ""),
    ]
    func row(
      _ name: String, _ count: Int, _ accuracy: Estimate?, _ normalized: Estimate? = nil,
      perplexity: Estimate? = nil
    ) -> String {
      "|\(printable(name))|\(count)|\(text(accuracy))|\(text(normalized))|"
        + (hasPerplexity ? "\(text(perplexity))|" : "")
    }
    for result in results {
      guard let subjects = result.subjects else {
        let score = result.score
        lines.append(
          row(
            result.name, score.documentCount, score.accuracy, score.normalizedAccuracy,
            perplexity: score.perplexity))
        continue
      }
      for entry in subjects.entries {
        let mark = String(repeating: " ", count: entry.depth) + (entry.depth > 0 ? "- " : "")
        lines.append(row(mark + entry.alias, entry.documentCount, entry.accuracy))
        if entry.depth == 0 {
          lines.append(
            row("mmlu, mean over subjects", entry.documentCount, entry.macroAccuracy))
        }
      }
    }
    lines += [""] + results.map(data)
    lines += results.compactMap(flags)
    return lines + comparison
  }

  private var definition: String {
    let name = arguments[Options.scheme]
    let encoding =
      switch name {
      case .joined: "context and answer encoded together"
      case .separate: "context and answer encoded apart, no special tokens"
      }
    return (isPartial ? "partial, not comparable; " : "")
      + "\(name.rawValue): \(encoding), \(shots) shots; ± standard error over documents; "
      + printable(model)
  }

  /// The number of examples; tasks that have none are never measured together with some.
  private var shots: Int { results.map(\.planned.data.exampleCount).max() ?? 0 }

  private func data(_ result: TaskResult) -> String {
    let data = result.planned.data
    let (count, all) = (result.score.documentCount, data.documents.count)
    let part =
      count == all ? "" : result.subjects == nil ? "first \(count) of " : "\(count) of "
    let size =
      data.hasExpectedCount ? "" : " (\(result.planned.task.expectedCount ?? 0) expected)"
    var parts = ["\(part)\(all) documents\(size)", "sha256 \(data.digest)"]
    if let labels = data.labels { parts.append("answers sha256 \(labels.digest)") }
    return "  \(printable(result.name)): \(printable(data.path)), \(parts.joined(separator: ", "))"
  }

  private func flags(_ result: TaskResult) -> String? {
    let counts = result.score.flagCounts
    guard !counts.isEmpty else { return nil }
    let parts = counts.map { "\($0.flag.rawValue) \($0.count)" }
    return "  \(printable(result.name)): documents with unusual encoding: "
      + parts.joined(separator: ", ")
  }

  private var comparison: [String] {
    guard let other else { return [] }
    var lines = [
      "", "A: \(printable(model)); B: \(printable(other.model)), from \(printable(other.path))", "",
      "|Task|metric|n|both right|only A|only B|both wrong|A - B|±|",
      "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for result in results {
      for (metric, counts) in other.counts(result.outcomes, task: result.name) {
        let numbers = [
          result.score.documentCount, counts.bothRight, counts.onlyFirst, counts.onlySecond,
          counts.bothWrong,
        ].map(String.init).joined(separator: "|")
        let sign = counts.difference.value > 0 ? "+" : ""
        lines.append(
          "|\(printable(result.name))|\(metric)|\(numbers)|\(sign)\(text(counts.difference))|")
      }
    }
    return lines
  }

  /// Two cells of a table: the number and its standard error.
  private func text(_ estimate: Estimate?) -> String {
    guard let estimate else { return "|" }
    let error = estimate.standardError.map { decimalText($0, digits: 4) } ?? "unknown"
    return "\(decimalText(estimate.value, digits: 4))|\(error)"
  }
}
