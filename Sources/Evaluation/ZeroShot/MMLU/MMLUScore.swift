/// The accuracies of a model on MMLU by subject, by group and over all.
package struct MMLUScore: Sendable {
  /// An accuracy over a subject or over several.
  package struct Entry: Sendable {
    /// The name in results: "mmlu_anatomy".
    package let name: String
    /// The name in tables: "anatomy".
    package let alias: String
    /// 0 for all subjects, 1 for a group, 2 for a subject.
    package let depth: Int
    /// The number of documents.
    package let documentCount: Int
    /// The mean over documents.
    ///
    /// Over several subjects, of n_i documents and standard errors s_i each, its standard error is
    /// sqrt(sum of (n_i - 1) n_i s_i^2 / (N - k) / N) for k subjects and N documents.
    package let accuracy: Estimate
    /// The mean over k subjects, with the standard error sqrt(sum of s_i^2) / k; nil for a subject.
    package let macroAccuracy: Estimate?
    /// The names of the groups or subjects that it is over.
    package let parts: [String]
  }

  /// All subjects, then each group followed by its subjects.
  package let entries: [Entry]

  /// Computes the accuracies over the samples of a plan.
  ///
  /// Source of the standard errors: `pooled_sample_stderr` and `unweighted_mean_stderr` of lm-eval.
  ///
  /// - Returns: nil for a task without subjects.
  package init?(_ samples: [EvaluationSample], of plan: EvaluationPlan) {
    guard !plan.sections.isEmpty else { return nil }
    let subjects = plan.sections.map { section in
      let score = EvaluationScore(Array(samples[section.documents]), of: plan.data.task)
      return Entry(
        name: "mmlu_" + section.subject, alias: section.subject, depth: 2,
        documentCount: score.documentCount, accuracy: score.accuracy, macroAccuracy: nil, parts: [])
    }
    var groups: [Entry] = []
    var entries: [Entry] = []
    for group in MMLUGroup.all {
      let own = subjects.filter { group.subjects.contains($0.alias) }
      guard !own.isEmpty else { continue }
      groups.append(
        Entry(
          over: own, name: group.name, alias: group.alias, depth: 1, parts: own.map(\.name)))
      entries += [groups[groups.count - 1]] + own
    }
    self.entries =
      [Entry(over: subjects, name: "mmlu", alias: "mmlu", depth: 0, parts: groups.map(\.name))]
      + entries
  }
}

extension MMLUScore.Entry {
  /// Combines the accuracies of subjects.
  fileprivate init(
    over subjects: [MMLUScore.Entry], name: String, alias: String, depth: Int, parts: [String]
  ) {
    let count = subjects.reduce(0) { $0 + $1.documentCount }
    let (total, subjectCount) = (Double(count), Double(subjects.count))
    let errors = subjects.compactMap(\.accuracy.standardError)
    let isKnown = errors.count == subjects.count
    let variances = errors.map { $0 * $0 }
    let pooled = zip(variances, subjects).reduce(0.0) { sum, next in
      let size = Double(next.1.documentCount)
      return sum + (size - 1) * size * next.0
    }
    self.name = name
    self.alias = alias
    self.depth = depth
    self.parts = parts
    documentCount = count
    accuracy = Estimate(
      value: subjects.reduce(0) { $0 + $1.accuracy.value * Double($1.documentCount) } / total,
      standardError: isKnown ? (pooled / (total - subjectCount) / total).squareRoot() : nil)
    macroAccuracy = Estimate(
      value: subjects.reduce(0) { $0 + $1.accuracy.value } / subjectCount,
      standardError: isKnown ? variances.reduce(0, +).squareRoot() / subjectCount : nil)
  }
}
