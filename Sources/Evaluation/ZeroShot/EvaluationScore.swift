/// The accuracies of a model on the documents of a task.
package struct EvaluationScore: Sendable {
  /// 1 where the likeliest choice is right, else 0.
  package let accuracy: Estimate
  /// The same by log-likelihood per code point; nil for a task that has no such accuracy.
  package let normalizedAccuracy: Estimate?
  /// The number of documents.
  package let documentCount: Int
  /// How many documents have a choice with each flag; none with a count of 0.
  package let flagCounts: [(flag: EncodingFlag, count: Int)]

  /// The accuracies over `samples`, with standard errors sd / sqrt(n), sd the sample standard deviation
  /// with n - 1.
  ///
  /// - Precondition: There is a sample.
  package init(_ samples: [EvaluationSample], of task: EvaluationTask) {
    accuracy = Self.estimate(samples.map(\.isCorrect))
    normalizedAccuracy =
      task.hasNormalizedAccuracy ? Self.estimate(samples.map(\.isCorrectNormalized)) : nil
    documentCount = samples.count
    flagCounts = EncodingFlag.allCases.compactMap { flag in
      let count = samples.count { $0.choices.contains { $0.flags.contains(flag) } }
      return count > 0 ? (flag, count) : nil
    }
  }

  private static func estimate(_ outcomes: [Bool]) -> Estimate {
    var mean = GroupedMean()
    for outcome in outcomes { mean.append(outcome ? 1 : 0) }
    return Estimate(
      value: mean.mean ?? .nan, standardError: mean.standardErrorOverObservations)
  }
}

/// How two models did on the same documents.
package struct PairedCounts: Sendable, Equatable {
  /// Documents that both got right.
  package let bothRight: Int
  /// Documents that only the first got right.
  package let onlyFirst: Int
  /// Documents that only the second got right.
  package let onlySecond: Int
  /// Documents that both got wrong.
  package let bothWrong: Int
  /// The accuracy of the first minus that of the second, with the standard error of the mean of the
  /// differences.
  package let difference: Estimate

  /// Counts over documents.
  ///
  /// - Precondition: Both have as many outcomes, at least one.
  package init(_ first: [Bool], _ second: [Bool]) {
    precondition(
      first.count == second.count && !first.isEmpty,
      "\(first.count) outcomes against \(second.count)")
    let pairs = Array(zip(first, second))
    bothRight = pairs.count { $0 && $1 }
    onlyFirst = pairs.count { $0 && !$1 }
    onlySecond = pairs.count { !$0 && $1 }
    bothWrong = pairs.count { !$0 && !$1 }
    var mean = GroupedMean()
    for (first, second) in pairs { mean.append((first ? 1 : 0) - (second ? 1 : 0)) }
    difference = Estimate(
      value: mean.mean ?? .nan, standardError: mean.standardErrorOverObservations)
  }
}
