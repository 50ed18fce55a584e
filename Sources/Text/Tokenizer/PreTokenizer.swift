/// The split of a text into words, each of which the model encodes by itself.
struct PreTokenizer: Sendable, Equatable {
  /// The marking of spaces by a character that pieces contain.
  struct Metaspace: Sendable, Equatable {
    /// The texts that get a mark at the start.
    enum Prefix: String, Sendable {
      /// Every text between added tokens.
      case always
      /// Only the text at the very beginning.
      case first
      /// No text.
      case never
    }

    /// The bytes that replace a space.
    let replacement: [UInt8]
    /// The texts that get a mark at the start if they do not have one.
    let prefix: Prefix
    /// Whether a new word starts at each mark.
    let splits: Bool
  }

  /// The pattern by which words are found; nil makes the whole text one word.
  var pattern: WordPattern?
  /// The marking of spaces, done first.
  var metaspace: Metaspace?
  /// Whether the model's symbols are bytes in the `ByteLevelAlphabet`.
  var isByteLevel = false
  /// Whether a text that does not start with a space gets one at the start.
  var addsPrefixSpace = false

  /// Calls `body` with each word of `text`, in order.
  ///
  /// - Parameters:
  ///   - text: Valid UTF-8, not empty.
  ///   - range: The part of it to be split.
  ///   - isFirst: Whether the part is at the very beginning of the encoded text.
  ///   - body: Called with the bytes that hold the word, and the word's range in them.
  func forEachWord(
    in text: [UInt8], _ range: Range<Int>, isFirst: Bool, _ body: ([UInt8], Range<Int>) -> Void
  ) {
    var text = text
    var range = range
    if let metaspace {
      var marked = TaggedText(Array(text[range]))
        .replacing([UInt8(ascii: " ")], with: metaspace.replacement)
      let isWanted = metaspace.prefix == .always || metaspace.prefix == .first && isFirst
      if isWanted, !marked.bytes.starts(with: metaspace.replacement) {
        marked.prepend(metaspace.replacement)
      }
      text = marked.bytes
      range = text.indices
      if metaspace.splits {
        forEachWord(in: text, startingWith: metaspace.replacement, body)
        return
      }
    }
    if addsPrefixSpace, text[range].first != UInt8(ascii: " ") {
      text = [UInt8(ascii: " ")] + text[range]
      range = text.indices
    }
    guard let pattern else {
      body(text, range)
      return
    }
    var start = range.lowerBound
    while start < range.upperBound {
      let end = pattern.endOfWord(in: text, from: start, to: range.upperBound)
      body(text, start..<end)
      start = end
    }
  }

  /// Cuts `text` before every occurrence of `mark`.
  private func forEachWord(
    in text: [UInt8], startingWith mark: [UInt8], _ body: ([UInt8], Range<Int>) -> Void
  ) {
    var start = 0
    var position = 0
    while position < text.count {
      let end = position + mark.count
      if end <= text.count, text[position..<end].elementsEqual(mark) {
        if start < position { body(text, start..<position) }
        start = position
        position = end
      } else {
        position += 1
      }
    }
    if start < text.count { body(text, start..<text.count) }
  }
}
