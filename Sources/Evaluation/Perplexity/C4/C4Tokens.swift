public import DuetText

/// The tokens of C4 that a protocol scores, window after window.
///
/// - `paperC4`: for each window documents are drawn at random until one has more than C tokens, and C
///   adjacent tokens of it are taken from a random position. This is the C4 of GPTQ, QuIP# and CALDERA.
/// - `c4New`: the first 1,100 texts, joined with spaces, are tokenized, and the first tokens are taken.
///   GPTQ and the papers that follow it call this c4-new.
///
/// With C the context length and n the tokens of a document, its BOS among them, a position is drawn
/// from 0 to n - C - 1. A document of exactly C tokens has no such position. The original scripts end
/// with an error there; here another document is drawn, so that every run that those scripts can finish
/// gives the same windows.
public struct C4Tokens: Sendable, Equatable {
  /// The number of windows that the papers average over.
  public static let standardWindowCount = 256
  /// The number of texts that `c4New` joins.
  public static let joinedTextCount = 1100

  /// The tokens of all windows.
  public let tokens: [Int]
  /// The number of different documents that the windows are from.
  public let documentCount: Int
  /// The number of documents drawn in vain because they have exactly C tokens.
  public let exactLengthCount: Int

  /// Chooses the windows of a file.
  ///
  /// - Parameters:
  ///   - file: The documents.
  ///   - isJoined: Whether the texts are joined, as for `c4New`; otherwise windows are drawn.
  ///   - contextLength: The number of tokens of a window, C.
  ///   - windowCount: The number of windows; `c4New` has fewer when the texts are shorter.
  ///   - beginning: The BOS of a text: `auto` for what the tokenizer does, `first`, or `never`.
  ///   - seed: The seed of the draws.
  ///   - tokenizer: The tokenizer of the model.
  /// - Throws: `PerplexityError.noBeginningToken`, or `noLongDocument` when no document has more than C
  ///   tokens.
  /// - Complexity: O(length of the texts that are drawn); every text is tokenized before the error.
  public init(
    _ file: C4File, isJoined: Bool, contextLength: Int, windowCount: Int, beginning: BeginningRule,
    seed: UInt64, tokenizer: Tokenizer
  ) throws(PerplexityError) {
    let encoder = try Encoder(beginning, tokenizer)
    if isJoined {
      let texts = file.texts.prefix(Self.joinedTextCount)
      let all = encoder.encode(texts.joined(separator: " "))
      let (limit, isHuge) = windowCount.multipliedReportingOverflow(by: contextLength)
      tokens = Array(all.prefix(isHuge ? .max : limit))
      documentCount = texts.count
      exactLengthCount = 0
      return
    }
    var generator = MersenneTwister(seed: seed)
    var tokens: [Int] = []
    var sources: Set<Int> = []
    var exactLengthCount = 0
    // The token counts of the documents drawn so far, and how many have no more than C.
    var counts = [Int?](repeating: nil, count: file.texts.count)
    var shortCount = 0
    for _ in 0..<windowCount {
      while true {
        guard shortCount < file.texts.count else {
          throw .noLongDocument(
            path: file.path, documentCount: shortCount,
            longest: counts.compactMap(\.self).max() ?? 0, contextLength: contextLength)
        }
        let index = generator.next(below: file.texts.count)
        if let count = counts[index], count < contextLength { continue }
        let document = encoder.encode(file.texts[index])
        if counts[index] == nil, document.count <= contextLength { shortCount += 1 }
        counts[index] = document.count
        if document.count == contextLength { exactLengthCount += 1 }
        guard document.count > contextLength else { continue }
        let start = generator.next(below: document.count - contextLength)
        tokens += document[start..<start + contextLength]
        sources.insert(index)
        break
      }
    }
    self.tokens = tokens
    documentCount = sources.count
    self.exactLengthCount = exactLengthCount
  }

  /// The encoding of a text with the BOS that a rule demands.
  private struct Encoder {
    let tokenizer: Tokenizer
    let prefix: [Int]
    let addsSpecialTokens: Bool

    init(_ rule: BeginningRule, _ tokenizer: Tokenizer) throws(PerplexityError) {
      self.tokenizer = tokenizer
      addsSpecialTokens = rule == .auto
      prefix = rule == .first ? tokenizer.beginningOfSequence.map { [$0] } ?? [] : []
      if rule == .first, prefix.isEmpty { throw .noBeginningToken }
    }

    func encode(_ text: String) -> [Int] {
      prefix + tokenizer.encode(text, addingSpecialTokens: addsSpecialTokens)
    }
  }
}
