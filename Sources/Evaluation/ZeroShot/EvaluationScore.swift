#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// The accuracies of a model on the documents of a task.
package struct EvaluationScore: Sendable {
  /// The part of documents whose choice with the highest log-likelihood is right, or whose continuation
  /// is the one of greedy decoding.
  package let accuracy: Estimate
  /// The part of documents whose choice with the highest log-likelihood per code point is right.
  ///
  /// Nil for a task without normalized accuracy.
  package let normalizedAccuracy: Estimate?
  /// exp of minus the mean log-likelihood of the continuations, for a task with a single one.
  ///
  /// Its standard error is to first order; lm-eval resamples instead.
  package let perplexity: Estimate?
  /// The number of documents.
  package let documentCount: Int
  /// The number of documents that have a choice with each flag, without flags of count 0.
  package let flagCounts: [(flag: EncodingFlag, count: Int)]

  /// Computes the accuracies over n `samples`.
  ///
  /// The standard errors are sd / sqrt(n), where sd is the sample standard deviation with n - 1.
  ///
  /// - Precondition: There is at least one sample.
  package init(_ samples: [EvaluationSample], of task: EvaluationTask) {
    accuracy = Self.estimate(samples.map(\.isCorrect))
    normalizedAccuracy =
      task.hasNormalizedAccuracy ? Self.estimate(samples.map(\.isCorrectNormalized)) : nil
    perplexity = task.isGreedy ? Self.perplexity(samples) : nil
    documentCount = samples.count
    flagCounts = EncodingFlag.allCases.compactMap { flag in
      let count = samples.count { $0.choices.contains { $0.flags.contains(flag) } }
      return count > 0 ? (flag, count) : nil
    }
  }

  private static func perplexity(_ samples: [EvaluationSample]) -> Estimate {
    var mean = GroupedMean()
    for sample in samples { mean.append(-sample.logLikelihoods.reduce(0, +)) }
    let value = exp(mean.mean ?? .nan)
    return Estimate(
      value: value, standardError: mean.standardErrorOverObservations.map { $0 * value })
  }

  private static func estimate(_ outcomes: [Bool]) -> Estimate {
    var mean = GroupedMean()
    for outcome in outcomes { mean.append(outcome ? 1 : 0) }
    return Estimate(
      value: mean.mean ?? .nan, standardError: mean.standardErrorOverObservations)
  }
}

/// The comparison of the outcomes of two models on the same documents.
package struct PairedCounts: Sendable, Equatable {
  /// The number of documents that both answered correctly.
  package let bothRight: Int
  /// The number of documents that only the first answered correctly.
  package let onlyFirst: Int
  /// The number of documents that only the second answered correctly.
  package let onlySecond: Int
  /// The number of documents that neither answered correctly.
  package let bothWrong: Int
  /// The accuracy of the first minus the accuracy of the second.
  ///
  /// The standard error is the one of the mean of the differences per document.
  package let difference: Estimate

  /// Counts outcomes over documents.
  ///
  /// - Precondition: Both have the same number of outcomes, at least one.
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
