internal import DuetSystem
package import DuetText

/// The documents of a task that were answered correctly, for comparison with another run.
package struct EvaluationOutcomes: Sendable, Equatable {
  /// A SHA-256 over the digests of the documents, in order.
  package let documentsDigest: String
  /// Whether the choice with the highest log-likelihood is right, by document.
  package let accuracy: [Bool]
  /// Whether the choice with the highest log-likelihood per code point is right, by document.
  ///
  /// Nil for a task without normalized accuracy.
  package let normalizedAccuracy: [Bool]?

  /// Makes the outcomes of scored documents.
  package init(_ samples: [EvaluationSample], of task: EvaluationTask) {
    documentsDigest = Self.digest(samples.map(\.digest))
    accuracy = samples.map(\.isCorrect)
    normalizedAccuracy = task.hasNormalizedAccuracy ? samples.map(\.isCorrectNormalized) : nil
  }

  /// A SHA-256 over the digests of documents.
  package static func digest(_ digests: [String]) -> String {
    SHA256.hexadecimalDigest(of: Array(digests.joined(separator: "\n").utf8))
  }

  /// The outcomes as part of a JSON document, one digit per document.
  package var json: JSONOutput {
    func text(_ outcomes: [Bool]) -> JSONOutput {
      .string(String(decoding: outcomes.map { UInt8(ascii: $0 ? "1" : "0") }, as: UTF8.self))
    }
    return [
      "documents_sha256": .string(documentsDigest), "acc": text(accuracy),
      "acc_norm": normalizedAccuracy.map(text) ?? .null,
    ]
  }

  /// Reads the outcomes in a JSON document; nil when they are missing or incomplete.
  package init?(_ value: JSONValue) {
    func outcomes(_ value: JSONValue?) -> [Bool]? {
      guard let digits = value?.utf8,
        digits.allSatisfy({ $0 == UInt8(ascii: "0") || $0 == UInt8(ascii: "1") })
      else { return nil }
      return digits.map { $0 == UInt8(ascii: "1") }
    }
    guard let digest = value["documents_sha256"]?.string, let accuracy = outcomes(value["acc"]),
      !accuracy.isEmpty
    else { return nil }
    documentsDigest = digest
    self.accuracy = accuracy
    normalizedAccuracy = outcomes(value["acc_norm"])
    if let normalizedAccuracy, normalizedAccuracy.count != accuracy.count { return nil }
  }
}
