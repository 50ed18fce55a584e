/// The changes made to a text before it is split into words.
struct Normalizer: Sendable, Equatable {
  /// One change.
  enum Step: Sendable, Equatable {
    /// Puts bytes before a text that is not empty.
    case prepend([UInt8])
    /// Replaces every occurrence of some bytes.
    case replace(pattern: [UInt8], content: [UInt8])
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
      }
    }
    return text
  }
}
