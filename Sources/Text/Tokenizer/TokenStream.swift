/// The decoding of tokens to text while they are still being generated.
///
/// Returns only text that later tokens cannot change, and never a part of a UTF-8 character. The
/// bytes of an incomplete character are held back. With byte fallback a whole run of byte tokens is
/// held back, because all of it turns into U+FFFD if it is not UTF-8. All returned text together is
/// exactly `Tokenizer.decode` of the same ids.
public struct TokenStream: Sendable {
  private let tokenizer: Tokenizer
  private let skipsSpecialTokens: Bool
  private var isAtStart = true
  /// The bytes of a run of byte tokens.
  private var byteRun: [UInt8] = []
  private var repair = UTF8Repair()
  /// Per step: how many times it may still strip the joined text.
  private var stripsLeft: [Int]

  /// A stream at the beginning of a text.
  ///
  /// - Parameters:
  ///   - tokenizer: The tokenizer of the ids.
  ///   - skippingSpecialTokens: Whether tokens that control the model are left out of the text.
  public init(_ tokenizer: Tokenizer, skippingSpecialTokens: Bool = true) {
    self.tokenizer = tokenizer
    skipsSpecialTokens = skippingSpecialTokens
    stripsLeft = tokenizer.decoder.steps.map {
      if case .strip(_, let start, _) = $0 { start } else { 0 }
    }
  }

  /// Takes one more token and returns the text that is now certain, often none.
  ///
  /// An id without a piece gives no text.
  public mutating func append(_ id: Int) -> String {
    var output: [UInt8] = []
    append(id, to: &output)
    return String(decoding: output, as: UTF8.self)
  }

  /// Ends the text and returns the text that was held back.
  public mutating func finish() -> String {
    var output: [UInt8] = []
    finish(to: &output)
    return String(decoding: output, as: UTF8.self)
  }

  /// Takes one more token and appends the text that is now certain to `output`.
  mutating func append(_ id: Int, to output: inout [UInt8]) {
    if skipsSpecialTokens, tokenizer.isControl(id) { return }
    guard var token = tokenizer.textOfToken(id) else { return }
    if tokenizer.decoder.separatesTokens, !isAtStart { token.insert(UInt8(ascii: " "), at: 0) }
    process(token, from: 0, to: &output)
    isAtStart = false
  }

  /// Ends the text and appends the text that was held back to `output`.
  mutating func finish(to output: inout [UInt8]) {
    for (index, step) in tokenizer.decoder.steps.enumerated() {
      switch step {
      case .byteFallback: flushByteRun(from: index + 1, to: &output)
      case .byteLevel:
        var rest: [UInt8] = []
        repair.finish(to: &rest)
        process(rest, from: index + 1, to: &output)
      default: break
      }
    }
    self = TokenStream(tokenizer, skippingSpecialTokens: skipsSpecialTokens)
  }

  // MARK: - Steps

  /// Sends one token, or a part of the joined text, through the steps from `index` on.
  private mutating func process(_ token: [UInt8], from index: Int, to output: inout [UInt8]) {
    var token = token
    for index in index..<tokenizer.decoder.steps.count {
      switch tokenizer.decoder.steps[index] {
      case .replace(let pattern, let content):
        token = TaggedText(token).replacing(pattern, with: content).bytes
      case .byteFallback:
        if let byte = SymbolAlphabet.byte(ofFallbackPiece: token) {
          byteRun.append(byte)
          return
        }
        flushByteRun(from: index + 1, to: &output)
      case .fuse: break
      case .strip(let content, let start, let stop):
        if index < tokenizer.decoder.separateStepCount {
          token = Self.stripped(token, of: content, start: start, stop: stop)
        } else {
          stripStart(of: &token, content: content, step: index)
        }
      case .metaspace(let replacement, let dropsFirst):
        let space = isAtStart && dropsFirst ? [] : [UInt8(ascii: " ")]
        token = TaggedText(token).replacing(replacement, with: space).bytes
      case .byteLevel:
        var certain: [UInt8] = []
        for byte in ByteLevelAlphabet.decode(token) ?? token {
          repair.append(byte, to: &certain)
        }
        token = certain
      }
    }
    output.append(contentsOf: token)
  }

  /// Sends the run of byte tokens on: as text if it is UTF-8, else as U+FFFD for each byte.
  private mutating func flushByteRun(from index: Int, to output: inout [UInt8]) {
    guard !byteRun.isEmpty else { return }
    let run = byteRun
    byteRun.removeAll()
    if String(validating: run, as: UTF8.self) != nil {
      process(run, from: index, to: &output)
    } else {
      for _ in run { process(UTF8Repair.replacement, from: index, to: &output) }
    }
  }

  private mutating func stripStart(of text: inout [UInt8], content: [UInt8], step: Int) {
    var start = 0
    while stripsLeft[step] > 0, text[start...].starts(with: content) {
      start += content.count
      stripsLeft[step] -= 1
    }
    if start < text.count { stripsLeft[step] = 0 }
    text.removeFirst(start)
  }

  private static func stripped(
    _ token: [UInt8], of content: [UInt8], start: Int, stop: Int
  ) -> [UInt8] {
    var rest = token[...]
    var count = 0
    while count < start, rest.starts(with: content) {
      rest = rest.dropFirst(content.count)
      count += 1
    }
    count = 0
    while count < stop, rest.count >= content.count, rest.suffix(content.count) == content[...] {
      rest = rest.dropLast(content.count)
      count += 1
    }
    return Array(rest)
  }
}
