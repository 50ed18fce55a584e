internal import DuetSystem
internal import DuetText

/// The format of a text file.
public enum EvaluationTextFormat: String, CaseIterable, Sendable {
  /// Chosen by the name and the beginning of the file; see `EvaluationText`.
  case auto
  /// The unchanged file.
  case raw
  /// The raw WikiText file, converted to the text that papers and lm-eval tokenize.
  case wikitextLines = "wikitext-lines"
  /// One JSON object per line, with a string `text`.
  case jsonl
}

/// The text of a file in the form that a protocol uses: one document, or several for lm-eval.
///
/// - `raw`: the file, unchanged, as one document.
/// - `wikitext-lines`: for lm-eval, one document per page, detokenized by `WikiTextDetokenizer`; for
///   the other protocols, the lines, each with its line feed, joined with two more line feeds; a line
///   of white space is replaced by an empty text.
/// - `jsonl`: one document per line for lm-eval; for the other protocols, the texts joined with two
///   line feeds. A line that `characterLimit` cuts is left out.
/// - `auto`: `jsonl` when the name ends in `.jsonl`; `wikitext-lines` when the file begins like the
///   raw WikiText file (a blank line, then a line ` = Title = `) and the protocol is `paper` or
///   `lm-eval`; else `raw`.
///
/// Only line feeds end lines. Carriage returns stay in the text, and so does a byte order mark unless
/// `stripsByteOrderMark` is true.
public struct EvaluationText: Sendable {
  /// A text that is scored independently of other texts.
  public struct Document: Sendable, Equatable {
    /// The text that is tokenized.
    public let text: String
    /// The number of words of the original text.
    ///
    /// This is its number of runs of white space plus one, as Python's
    /// `len(re.split(r"\s+", text))` counts.
    public let wordCount: Int
    /// The number of bytes of the original text.
    public let byteCount: Int
  }

  /// The options for reading a file.
  public struct Options: Sendable {
    /// The format.
    public var format: EvaluationTextFormat
    /// Whether bytes that are not UTF-8 become U+FFFD instead of an error.
    public var isLossy: Bool
    /// Whether a byte order mark at the start is removed.
    public var stripsByteOrderMark: Bool
    /// The number of Unicode scalars of the file to use, before the format is applied; nil: all.
    public var characterLimit: Int?

    /// Makes options.
    public init(
      format: EvaluationTextFormat = .auto, isLossy: Bool = false,
      stripsByteOrderMark: Bool = false, characterLimit: Int? = nil
    ) {
      self.format = format
      self.isLossy = isLossy
      self.stripsByteOrderMark = stripsByteOrderMark
      self.characterLimit = characterLimit
    }
  }

  /// The documents; exactly one for every protocol except `lmEval`.
  public let documents: [Document]
  /// The format used; never `auto`.
  public let format: EvaluationTextFormat
  /// Whether `characterLimit` excluded a part of the file.
  public let isPartial: Bool

  /// Reads the bytes of a file.
  ///
  /// - Parameters:
  ///   - bytes: All bytes of the file.
  ///   - path: The name of the file, for `auto` and for messages.
  ///   - name: The protocol.
  ///   - options: The options for reading.
  /// - Throws: `PerplexityError.invalidUTF8` or `.malformedLine`.
  /// - Complexity: O(bytes).
  public init(
    _ bytes: [UInt8], path: String, protocol name: PerplexityProtocol,
    options: Options = Options()
  ) throws(PerplexityError) {
    let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
    let start = options.stripsByteOrderMark && bytes.starts(with: mark) ? mark.count : 0
    var text = try Self.decode(bytes, from: start, path: path, isLossy: options.isLossy)
    var isPartial = false
    if let limit = options.characterLimit {
      let scalars = text.unicodeScalars
      if let end = scalars.index(scalars.startIndex, offsetBy: limit, limitedBy: scalars.endIndex),
        end < scalars.endIndex
      {
        text = String(text[..<end])
        isPartial = true
      }
    }
    self.isPartial = isPartial
    format = Self.resolve(options.format, text, path: path, protocol: name)
    switch format {
    case .auto, .raw:
      documents = [Document(original: text)]
    case .wikitextLines:
      if name == .lmEval {
        documents = WikiText.pages(text).map { page in
          Document(original: page, text: WikiTextDetokenizer.detokenize(page))
        }
      } else {
        documents = [Document(original: text, text: WikiText.joinedRows(text))]
      }
    case .jsonl:
      if isPartial {
        // The last line may be cut, and would then not be JSON.
        let end = text.utf8.lastIndex(of: UInt8(ascii: "\n")) ?? text.startIndex
        text = String(text[..<end])
      }
      let texts = try Self.readLines(text, path: path)
      if name == .lmEval {
        documents = texts.map { Document(original: $0) }
      } else {
        documents = [Document(original: texts.joined(separator: "\n\n"))]
      }
    }
  }

  private static func decode(
    _ bytes: [UInt8], from start: Int, path: String, isLossy: Bool
  ) throws(PerplexityError) -> String {
    if !isLossy {
      do throws(UTF8.ValidationError) {
        _ = try UTF8Span(validating: bytes.span)
      } catch {
        throw .invalidUTF8(path: path, byteOffset: error.byteOffsets.lowerBound)
      }
    }
    return String(decoding: bytes[start...], as: UTF8.self)
  }

  private static func resolve(
    _ format: EvaluationTextFormat, _ text: String, path: String, protocol name: PerplexityProtocol
  ) -> EvaluationTextFormat {
    guard format == .auto else { return format }
    if path.hasSuffix(".jsonl") { return .jsonl }
    return name != .llamaCpp && WikiText.isRawFile(text) ? .wikitextLines : .raw
  }

  /// The texts of a JSON Lines file; lines of white space are skipped.
  private static func readLines(
    _ text: String, path: String
  ) throws(PerplexityError) -> [String] {
    var texts: [String] = []
    try JSONLines.forEach(
      in: text.utf8,
      malformed: { PerplexityError.malformedLine(path: path, line: $0, problem: $1) }
    ) { (line, value) throws(PerplexityError) in
      guard let text = value["text"]?.string else {
        throw .malformedLine(path: path, line: line, problem: "no string \"text\"")
      }
      texts.append(text)
    }
    return texts
  }
}

extension EvaluationText.Document {
  /// Makes a document that tokenizes `text`, by default `original`, and counts `original`.
  init(original: String, text: String? = nil) {
    self.text = text ?? original
    wordCount = WikiText.wordCount(original)
    byteCount = original.utf8.count
  }
}
