/// The changes made to a text before it is split into words.
struct Normalizer: Sendable {
  /// One change.
  enum Step: Sendable {
    /// Puts bytes before a text that is not empty.
    case prepend([UInt8])
    /// Replaces every occurrence of some bytes.
    case replace(pattern: [UInt8], content: [UInt8])
    /// Replaces every match of an expression.
    case replaceMatches(RegularExpression, content: [UInt8])
    /// Brings the text into a Unicode normalization form.
    case unicode(NormalizationForm)
    /// Puts every scalar into lower case, whatever surrounds it.
    case lowercase
    /// Removes white space at the ends.
    case strip(left: Bool, right: Bool)
    /// Removes marks.
    case stripAccents
    /// Removes controls and turns other white space and invisible scalars into spaces.
    case nmt
    /// Spells bytes in the `ByteLevelAlphabet`.
    case byteLevel
    /// Replaces characters by a map, as Hugging Face tokenizers apply it.
    case characterMap(CharacterMap)
    /// Does what a SentencePiece model does.
    case sentencePiece(SentencePieceNormalization)
  }

  /// The changes, in order.
  var steps: [Step] = []

  /// The text after all changes.
  func normalized(_ text: TaggedText) -> TaggedText {
    var text = text
    for step in steps where !text.bytes.isEmpty {
      switch step {
      case .prepend(let prefix): text.prepend(prefix)
      case .replace(let pattern, let content): text = text.replacing(pattern, with: content)
      case .replaceMatches(let expression, let content):
        text = text.replacingMatches(of: expression, with: content)
      case .unicode(let form): text = form.normalized(text)
      case .lowercase: text = text.lowercased()
      case .strip(let left, let right): text = text.stripped(left: left, right: right)
      case .stripAccents: text = text.withoutMarks()
      case .nmt: text = text.cleanedAsInNMT()
      case .byteLevel: text = text.spelledByteLevel()
      case .characterMap(let map): text = map.applied(to: text)
      case .sentencePiece(let normalization): text = normalization.normalized(text)
      }
    }
    return text
  }
}
