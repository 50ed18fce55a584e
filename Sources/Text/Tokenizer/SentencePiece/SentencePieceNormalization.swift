/// What a SentencePiece model does to a text before it looks for pieces.
///
/// Source: google/sentencepiece, `normalizer.cc`.
struct SentencePieceNormalization: Sendable, Equatable {
  /// "▁", which pieces have in place of a space.
  static let mark: [UInt8] = Array("\u{2581}".utf8)

  /// The replacement of characters, done first.
  var map: CharacterMap?
  /// Whether spaces at the ends are removed, and all but one of several in a row.
  var removesExtraSpaces = false
  /// Whether the text gets a mark at the start.
  var addsDummyPrefix = true

  /// The text with its characters replaced, its extra spaces removed, and marks as spaces.
  ///
  /// - Complexity: O(length).
  func normalized(_ text: TaggedText) -> TaggedText {
    let space = UInt8(ascii: " ")
    var result = TaggedTextBuilder(for: text)
    var isAtStart = true
    var followsSpace = removesExtraSpaces
    var position = 0
    while position < text.bytes.count {
      let (end, replacement) = nextPart(of: text, at: position)
      let source = position..<end
      position = end
      var part = replacement
      if isAtStart {
        if removesExtraSpaces, part.elementsEqual([space]) { continue }
        isAtStart = false
        if addsDummyPrefix { result.append(Self.mark, isContent: false) }
      }
      if followsSpace { part = part.drop { $0 == space } }
      for byte in part {
        if byte == space {
          result.append(Self.mark, isContent: text.isContent(in: source))
        } else {
          result.append(CollectionOfOne(byte), isContent: text.isContent(in: source))
        }
      }
      if let last = part.last { followsSpace = removesExtraSpaces && last == space }
    }
    while removesExtraSpaces, result.text.bytes.suffix(Self.mark.count).elementsEqual(Self.mark) {
      result.removeLast(Self.mark.count)
    }
    return result.text
  }

  /// The end of the scalars at `position` that are replaced together, and their replacement.
  private func nextPart(
    of text: TaggedText, at position: Int
  ) -> (end: Int, text: ArraySlice<UInt8>) {
    let rest = position..<text.bytes.count
    if let match = map?.longestReplacement(text.bytes, in: rest) {
      return (position + match.count, match.text)
    }
    let end = decodedScalar(text.bytes, at: position).end
    return (end, text.bytes[position..<end])
  }
}
