import DuetCommandLine
import DuetEvaluation
import DuetSystem
import DuetText

/// What is scored of a file: its texts, or a sample of the documents of C4.
struct PlannedContent {
  /// The tokens of each text; of C4 those of all windows together.
  let tokens: [[Int]]
  let format: EvaluationTextFormat
  /// Whether `--characters` cuts the file.
  let isPartial: Bool
  /// The texts that are scored one by one, with their words and bytes; none for C4.
  let documents: [EvaluationText.Document]
  /// The sample of C4, and the number of documents in the file.
  let sample: (C4Tokens, documentCount: Int)?

  /// The texts of a file before they are tokenized.
  enum Source {
    case text(EvaluationText)
    case c4(C4File)

    init(_ bytes: [UInt8], path: String, arguments: Arguments) throws(PerplexityError) {
      let name = arguments[Options.scheme]
      self =
        name.isC4
        ? .c4(try C4File(bytes, path: path))
        : .text(
          try EvaluationText(
            bytes, path: path, protocol: name,
            options: EvaluationText.Options(
              format: arguments[Options.format], isLossy: arguments[Options.lossy],
              stripsByteOrderMark: arguments[Options.stripMark],
              characterLimit: arguments[Options.characters])))
    }

    /// Tokenizes the texts.
    func content(
      _ tokenizer: Tokenizer, contextLength: Int, arguments: Arguments
    ) throws(PerplexityError) -> PlannedContent {
      switch self {
      case .text(let text):
        return PlannedContent(
          tokens: text.documents.map { tokenizer.encode($0.text, addingSpecialTokens: false) },
          format: text.format, isPartial: text.isPartial, documents: text.documents, sample: nil)
      case .c4(let file):
        let isJoined = arguments[Options.scheme] == .c4New
        let standard = C4Tokens.standardWindowCount
        let windowCount = arguments[Options.windows] ?? standard
        let sample = try C4Tokens(
          file, isJoined: isJoined, contextLength: contextLength,
          windowCount: isJoined ? max(windowCount, standard) : windowCount,
          beginning: arguments[Options.beginning], seed: arguments[Options.seed],
          tokenizer: tokenizer)
        return PlannedContent(
          tokens: [sample.tokens], format: .jsonl, isPartial: false, documents: [],
          sample: (sample, file.texts.count))
      }
    }
  }

  /// Warns of a sample of C4 that is not the one of the papers.
  func warn(about path: String, windowCount: Int, _ messages: Messages) {
    guard let (_, documentCount) = sample else { return }
    if documentCount != C4File.publishedDocumentCount {
      messages.warning(
        "\(printable(path)): \(documentCount) documents, where the first validation file of C4 has "
          + "\(C4File.publishedDocumentCount); the number is not comparable")
    }
    if windowCount > C4Tokens.standardWindowCount {
      messages.warning(
        "\(windowCount) windows are more than the \(C4Tokens.standardWindowCount) that the papers "
          + "average over")
    }
  }

  /// The sample of C4 in words: "45576 documents, 240 of them in the windows".
  var sampleText: String? {
    guard let (sample, documentCount) = sample else { return nil }
    var text = "\(documentCount) documents, \(sample.documentCount) of them in the windows"
    if sample.exactLengthCount > 0 {
      text += ", \(sample.exactLengthCount) as long as a window not used"
    }
    return text
  }
}
