/// A splitting pattern for which there is a hand-written scanner.
///
/// The scanners find the same words as the regular expressions, in time proportional to the text
/// and without recursion: engines for regular expressions overflow their stack or lose text on long
/// runs.
package enum WordPattern: Sendable, CaseIterable {
  /// The pattern of Llama 3 (and of OpenAI's cl100k).
  case llama3
  /// The pattern of Mistral Nemo's tekken.
  case tekken
  /// The pattern of GPT-2, which `ByteLevel` applies by itself.
  case gpt2

  /// The pattern with exactly this text, or nil.
  package init?(regularExpression text: String) {
    guard
      let pattern = Self.allCases.first(where: {
        $0.regularExpression.utf8.elementsEqual(text.utf8)
      })
    else { return nil }
    self = pattern
  }

  /// The pattern as tokenizer.json spells it.
  package var regularExpression: String {
    switch self {
    case .llama3:
      #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"#
        + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    case .tekken:
      #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"#
        + #"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"#
        + #"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    case .gpt2:
      #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
    }
  }

  /// The end of the word that starts at `start`.
  ///
  /// - Parameters:
  ///   - text: Valid UTF-8.
  ///   - start: The start of a scalar before `end`.
  ///   - end: Where the text to be split ends; nothing after it is read.
  /// - Returns: A position after `start`, at most `end`.
  /// - Complexity: O(length of the word), amortised over the words of a text.
  package func endOfWord(in text: [UInt8], from start: Int, to end: Int) -> Int {
    let scanner = WordScanner(text: text, end: end)
    return switch self {
    case .llama3: scanner.endOfLlama3Word(from: start)
    case .tekken: scanner.endOfTekkenWord(from: start)
    case .gpt2: scanner.endOfGPT2Word(from: start)
    }
  }
}
