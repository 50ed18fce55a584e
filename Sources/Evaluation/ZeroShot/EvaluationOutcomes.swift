internal import DuetSystem
package import DuetText

/// Which documents of a task were answered rightly: what another run compares itself with.
package struct EvaluationOutcomes: Sendable, Equatable {
  /// A SHA-256 over the digests of the documents, in order.
  package let documentsDigest: String
  /// Whether the likeliest choice is right, by document.
  package let accuracy: [Bool]
  /// The same by log-likelihood per code point; nil for a task without.
  package let normalizedAccuracy: [Bool]?

  /// The outcomes of scored documents.
  package init(_ samples: [EvaluationSample], of task: EvaluationTask) {
    documentsDigest = Self.digest(samples.map(\.digest))
    accuracy = samples.map(\.isCorrect)
    normalizedAccuracy = task.hasNormalizedAccuracy ? samples.map(\.isCorrectNormalized) : nil
  }

  /// A SHA-256 over the digests of documents.
  package static func digest(_ digests: [String]) -> String {
    SHA256.hexadecimalDigest(of: Array(digests.joined(separator: "\n").utf8))
  }

  /// As a part of a JSON document: a digit per document.
  package var json: JSONOutput {
    func text(_ outcomes: [Bool]) -> JSONOutput {
      .string(String(decoding: outcomes.map { UInt8(ascii: $0 ? "1" : "0") }, as: UTF8.self))
    }
    return [
      "documents_sha256": .string(documentsDigest), "acc": text(accuracy),
      "acc_norm": normalizedAccuracy.map(text) ?? .null,
    ]
  }

  /// The outcomes in a JSON document, or nil when they are not there or not whole.
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
