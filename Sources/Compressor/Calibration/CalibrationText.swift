public import DuetEvaluation
internal import DuetSystem

/// The documents of a file that calibration samples are cut from.
///
/// Each line of a `jsonl` file is a document. A file of another format is one document, read by the `paper`
/// protocol of `EvaluationText`.
public struct CalibrationText: Sendable {
  /// Where the text comes from, for the record.
  public let path: String
  /// The SHA-256 digest of the file's bytes, in hexadecimal digits.
  public let digest: String
  /// The texts, each of which is given to the tokenizer by itself.
  public let documents: [String]

  /// A text with documents that have already been read.
  public init(path: String, digest: String, documents: [String]) {
    self.path = path
    self.digest = digest
    self.documents = documents
  }

  /// Reads the bytes of a file.
  ///
  /// - Parameters:
  ///   - bytes: All bytes of the file.
  ///   - path: The name of the file, for `auto` and for messages.
  ///   - format: How the bytes become text.
  /// - Throws: `PerplexityError.invalidUTF8` or `.malformedLine`.
  /// - Complexity: O(bytes).
  public init(
    _ bytes: [UInt8], path: String, format: EvaluationTextFormat = .auto
  ) throws(PerplexityError) {
    // The protocol of lm-eval keeps the lines apart; the others join them.
    let hasLines = format == .jsonl || (format == .auto && path.hasSuffix(".jsonl"))
    let text = try EvaluationText(
      bytes, path: path, protocol: hasLines ? .lmEval : .paper, options: .init(format: format))
    self.init(
      path: path, digest: SHA256.hexadecimalDigest(of: bytes), documents: text.documents.map(\.text)
    )
  }
}
