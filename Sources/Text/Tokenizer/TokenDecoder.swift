/// The conversion of tokens back to text, as the tokenizer's file describes it.
struct TokenDecoder: Sendable, Equatable {
  /// One change to the tokens.
  enum Step: Sendable, Equatable {
    /// Replaces every occurrence of some bytes in each token.
    case replace(pattern: [UInt8], content: [UInt8])
    /// Turns runs of `<0xHH>` into the bytes they name.
    case byteFallback
    /// Joins all tokens: later steps see one.
    case fuse
    /// Removes a scalar from the ends of each token, at most `start` and `stop` times.
    case strip(content: [UInt8], start: Int, stop: Int)
    /// Turns marks into spaces; removes them from the first token if `dropsFirst`.
    case metaspace(replacement: [UInt8], dropsFirst: Bool)
    /// Turns the `ByteLevelAlphabet` into bytes and joins all tokens.
    case byteLevel
  }

  /// The changes, in order.
  let steps: [Step]
  /// Whether tokens are separated by spaces, which is the case when the file has no decoder.
  let separatesTokens: Bool

  /// The number of steps that see tokens one by one; the rest see the joined text.
  let separateStepCount: Int

  /// A decoder of these steps, or nil when their order is not supported.
  ///
  /// Once the tokens are joined, only stripping at the start and replacing a single scalar are possible:
  /// what needs the end of the text, or text of several tokens, cannot be done while the text is
  /// still being generated.
  init?(steps: [Step], separatesTokens: Bool = false) {
    let joined = steps.firstIndex { $0 == .fuse || $0 == .byteLevel }
    separateStepCount = joined.map { $0 + 1 } ?? steps.count
    for step in steps[separateStepCount...] {
      switch step {
      case .fuse, .strip(_, _, stop: 0): break
      case .replace(let pattern, _)
      where String(decoding: pattern, as: UTF8.self).unicodeScalars.count == 1:
        break
      default: return nil
      }
    }
    self.steps = steps
    self.separatesTokens = separatesTokens
  }
}
