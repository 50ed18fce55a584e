import DuetCommandLine
import DuetEvaluation
import DuetRuntime
import DuetText

extension Report {
  /// The results as JSON; the results of a task have the names that lm-eval uses.
  func json(digest: String) -> JSONOutput {
    var members: [JSONOutput.Member] = [
      .init("version", .string(duetVersion)),
      .init("model", .string(model)),
      .init("model_sha256", .string(digest)),
      .init("kernel_set", .string(KernelSet.standard.name)),
      .init("threads", .integer(threadCount(arguments))),
      .init("protocol", .string(arguments[Options.scheme].rawValue)),
      .init("limit", arguments[Options.limit].map { .integer($0) } ?? .null),
      .init("partial", .boolean(isPartial)),
      .init("results", .object(results.flatMap(Self.metrics))),
    ]
    members += subjectMembers
    members += [
      .init(
        "n-shot", perTask { .integer($0.planned.data.exampleCount) }),
      .init(
        "n-samples",
        perTask { result in
          [
            "original": .integer(result.planned.data.documents.count),
            "effective": .integer(result.score.documentCount),
          ]
        }),
      .init("data", perTask(Self.data)),
      .init(
        "flags",
        perTask { result in
          .object(result.score.flagCounts.map { .init($0.flag.rawValue, .integer($0.count)) })
        }),
      .init("outcomes", perTask(\.outcomes.json)),
    ]
    if let other { members.append(.init("comparison", comparisonJSON(other))) }
    return .object(members)
  }

  private func perTask(_ value: (TaskResult) -> JSONOutput) -> JSONOutput {
    .object(results.map { .init($0.name, value($0)) })
  }

  /// The metrics of a task, of MMLU those of each group and subject too.
  private static func metrics(_ result: TaskResult) -> [JSONOutput.Member] {
    if let subjects = result.subjects {
      return subjects.entries.map { .init($0.name, .object(metrics($0))) }
    }
    let score = result.score
    var members = pair("acc,none", "acc_stderr,none", score.accuracy)
    if let normalized = score.normalizedAccuracy {
      members += pair("acc_norm,none", "acc_norm_stderr,none", normalized)
    }
    if let perplexity = score.perplexity {
      members += pair("perplexity,none", "perplexity_stderr,none", perplexity)
    }
    return [.init(result.name, .object(members))]
  }

  private static func metrics(_ entry: MMLUScore.Entry) -> [JSONOutput.Member] {
    let own = pair("acc,none", "acc_stderr,none", entry.accuracy)
    let macro = entry.macroAccuracy.map {
      pair("acc_macro,none", "acc_macro_stderr,none", $0)
    }
    return [.init("alias", .string(entry.alias))] + own + (macro ?? [])
      + [.init("sample_len", .integer(entry.documentCount))]
  }

  /// The groups of MMLU and what they are over; nothing without MMLU.
  private var subjectMembers: [JSONOutput.Member] {
    let groups = results.flatMap { $0.subjects?.entries ?? [] }.filter { !$0.parts.isEmpty }
    guard !groups.isEmpty else { return [] }
    return [
      .init("groups", .object(groups.map { .init($0.name, .object(Self.metrics($0))) })),
      .init(
        "group_subtasks",
        .object(groups.map { .init($0.name, .array($0.parts.map { .string($0) })) })),
    ]
  }

  private static func pair(
    _ name: String, _ errorName: String, _ estimate: Estimate
  ) -> [JSONOutput.Member] {
    [
      .init(name, .number(estimate.value)),
      .init(errorName, estimate.standardError.map { .number($0) } ?? .null),
    ]
  }

  private static func data(_ result: TaskResult) -> JSONOutput {
    let data = result.planned.data
    return [
      "file": .string(data.path), "bytes": .integer(data.byteCount),
      "sha256": .string(data.digest),
      "labels_file": data.labels.map { .string($0.path) } ?? .null,
      "labels_sha256": data.labels.map { .string($0.digest) } ?? .null,
      "documents": .integer(data.documents.count),
      "expected_documents": result.planned.task.expectedCount.map { .integer($0) } ?? .null,
      "joined_contexts": .integer(data.joinedContextCount),
    ]
  }

  private func comparisonJSON(_ other: OtherResults) -> JSONOutput {
    [
      "file": .string(other.path), "model": .string(other.model),
      "results": perTask { result in
        .object(
          other.counts(result.outcomes, task: result.name).map { metric, counts in
            let difference = Self.pair("difference", "difference_stderr", counts.difference)
            return .init(
              metric,
              .object(
                [
                  .init("both_right", .integer(counts.bothRight)),
                  .init("only_a", .integer(counts.onlyFirst)),
                  .init("only_b", .integer(counts.onlySecond)),
                  .init("both_wrong", .integer(counts.bothWrong)),
                ] + difference))
          })
      },
    ]
  }
}
