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
      .init("results", perTask { .object(Self.metrics($0.score)) }),
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

  private static func metrics(_ score: EvaluationScore) -> [JSONOutput.Member] {
    var members = pair("acc,none", "acc_stderr,none", score.accuracy)
    if let normalized = score.normalizedAccuracy {
      members += pair("acc_norm,none", "acc_norm_stderr,none", normalized)
    }
    return members
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
