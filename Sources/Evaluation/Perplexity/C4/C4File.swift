internal import DuetSystem
internal import DuetText

/// The texts of a file of C4: one JSON object per line, with a string `text`.
///
/// Published perplexities are of the first of eight files of the validation split,
/// `en/c4-validation.00000-of-00008.json` of the data set allenai/c4 on Hugging Face.
public struct C4File: Sendable {
  /// The number of documents of the file that papers measure on.
  public static let publishedDocumentCount = 45_576

  /// The texts, in the order of the file.
  public let texts: [String]
  /// The name of the file, for messages.
  public let path: String

  /// Reads the bytes of a file.
  ///
  /// - Parameters:
  ///   - bytes: All bytes of the file.
  ///   - path: The name of the file, for messages.
  /// - Throws: `PerplexityError.malformedLine`.
  /// - Complexity: O(bytes).
  public init(_ bytes: [UInt8], path: String) throws(PerplexityError) {
    var texts: [String] = []
    try JSONLines.forEach(
      in: bytes,
      malformed: { PerplexityError.malformedLine(path: path, line: $0, problem: $1) }
    ) { (line, value) throws(PerplexityError) in
      guard let text = value["text"]?.string else {
        throw .malformedLine(path: path, line: line, problem: "no string \"text\"")
      }
      texts.append(text)
    }
    self.texts = texts
    self.path = path
  }
}
