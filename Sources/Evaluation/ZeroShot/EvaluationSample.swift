internal import DuetRuntime
internal import DuetSystem
package import DuetText

/// A document with the scores of its choices.
package struct EvaluationSample: Sendable, Equatable {
  /// The index of the document in its data.
  package let index: Int
  /// The digest of the document; see `ChoiceDocument.digest`.
  package let digest: String
  /// The index of the right answer.
  package let gold: Int
  /// The log-likelihoods of the choices, in nats.
  package let logLikelihoods: [Double]
  /// The numbers of code points of the answers.
  package let lengths: [Int]
  /// The token counts of the choices.
  package let choices: [EncodedDocument.Choice]
  /// Whether greedy decoding gives the only continuation; nil for a document with choices.
  package let isGreedy: Bool?
  /// The subject of a document of MMLU.
  package let subject: String?

  /// Makes a sample from a document and the log-likelihoods of its choices.
  ///
  /// - Precondition: There is a log-likelihood for each choice.
  package init(
    index: Int, document: ChoiceDocument, encoded: EncodedDocument, logLikelihoods: [Double],
    isGreedy: Bool? = nil, subject: String? = nil
  ) {
    precondition(
      logLikelihoods.count == document.choices.count,
      "\(logLikelihoods.count) scores of \(document.choices.count) choices")
    self.index = index
    digest = document.digest
    gold = document.gold
    self.logLikelihoods = logLikelihoods
    lengths = document.choices.map(\.length)
    choices = encoded.choices
    self.isGreedy = isGreedy
    self.subject = subject
  }

  /// The index of the choice with the highest log-likelihood; the first of equal ones.
  package var prediction: Int { Self.firstMaximum(logLikelihoods) }

  /// The index of the choice with the highest log-likelihood per code point; the first of equal ones.
  package var normalizedPrediction: Int {
    Self.firstMaximum(
      zip(logLikelihoods, lengths).map { value, length in
        // lm-eval divides by zero here and gets -infinity, which is never the best.
        length > 0 ? value / Double(length) : -.infinity
      })
  }

  /// Whether `prediction` is right, or greedy decoding gives the only continuation.
  package var isCorrect: Bool { isGreedy ?? (prediction == gold) }

  /// Whether `normalizedPrediction` is right.
  package var isCorrectNormalized: Bool { normalizedPrediction == gold }

  private static func firstMaximum(_ values: [Double]) -> Int {
    var best = 0
    for index in values.indices where values[index] > values[best] { best = index }
    return best
  }

  /// The line of a samples file, without the texts.
  package var json: JSONOutput {
    func integers(_ values: [Int]) -> JSONOutput { .array(values.map { .integer($0) }) }
    var members: [JSONOutput.Member] = [
      .init("doc_id", .integer(index)), .init("doc_hash", .string(digest)),
    ]
    if let subject { members.append(.init("subject", .string(subject))) }
    if let isGreedy {
      members.append(.init("is_greedy", .integer(isGreedy ? 1 : 0)))
    } else {
      members += [
        .init("target", .integer(gold)), .init("prediction", .integer(prediction)),
        .init("prediction_norm", .integer(normalizedPrediction)),
        .init("acc", .integer(isCorrect ? 1 : 0)),
        .init("acc_norm", .integer(isCorrectNormalized ? 1 : 0)),
      ]
    }
    return .object(
      members + [
        .init("log_likelihoods", .array(logLikelihoods.map { .number($0) })),
        .init("lengths", integers(lengths)),
        .init("context_tokens", integers(choices.map(\.contextTokenCount))),
        .init("continuation_tokens", integers(choices.map(\.continuationTokenCount))),
        .init(
          "flags",
          .array(choices.map { choice in .array(choice.flags.map { .string($0.rawValue) }) })),
      ])
  }

  /// The scores in a line of a samples file, or nil when there are none.
  static func scores(inLine value: JSONValue) -> [ContinuationScore]? {
    guard let elements = value["log_likelihoods"]?.elements else { return nil }
    let numbers = elements.compactMap(\.double)
    guard numbers.count == elements.count else { return nil }
    let isGreedy = value["is_greedy"]?.int != 0
    return numbers.map { ContinuationScore(logLikelihood: $0, isGreedy: isGreedy) }
  }
}
