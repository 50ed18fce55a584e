package import DuetText
import Glibc

/// The way a conversation is encoded as tokens: by a template, or as plain text.
package struct ChatFormat: Sendable {
  private let template: ChatTemplate?
  private let tokenizer: Tokenizer
  private let date: CalendarDate

  /// Makes a format; without a template the contents of all messages are joined to one text.
  package init(template: ChatTemplate?, tokenizer: Tokenizer, date: CalendarDate = .today) {
    self.template = template
    self.tokenizer = tokenizer
    self.date = date
  }

  /// Whether the model continues plain text.
  package var isPlain: Bool { template == nil }

  /// The origin of the template, or "none" for plain text.
  package var name: String { template?.origin ?? "none" }

  /// The tokens of a conversation, up to the beginning of the answer.
  ///
  /// The text of a special token in a message is encoded as plain text.
  package func tokens(for messages: [ChatMessage]) throws(ChatTemplateError) -> [Int] {
    try prompt(for: messages).tokens
  }

  /// The text of a conversation up to the beginning of the answer, and its tokens.
  ///
  /// The tokens begin with the one that begins a text also when the template does not write it.
  package func prompt(
    for messages: [ChatMessage]
  ) throws(ChatTemplateError) -> (text: String, tokens: [Int]) {
    let segments =
      try template?.segments(for: messages, tokenizer: tokenizer, date: date)
      ?? messages.map { TextSegment($0.content, isContent: true) }
    let tokens = template?.tokens(of: segments, tokenizer: tokenizer) ?? plainTokens(of: segments)
    return (segments.map(\.text).joined(), tokens)
  }

  private func plainTokens(of segments: [TextSegment]) -> [Int] {
    let ids = tokenizer.encode(segments)
    guard tokenizer.addsBeginningOfSequence, let begin = tokenizer.beginningOfSequence else {
      return ids
    }
    return [begin] + ids
  }
}

extension CalendarDate {
  /// The local date and time, or the first day of 1970 if the system does not provide it.
  package static var today: CalendarDate {
    var now = time(nil)
    // `tm` holds a pointer to the time zone's name, which is not used.
    var parts = unsafe tm()
    let year = unsafe localtime_r(&now, &parts) == nil ? 0 : Int(parts.tm_year) + 1900
    guard (1...9999).contains(year) else { return CalendarDate(year: 1970, month: 1, day: 1) }
    return unsafe CalendarDate(
      year: year, month: Int(parts.tm_mon) + 1, day: Int(parts.tm_mday),
      hour: Int(parts.tm_hour), minute: Int(parts.tm_min), second: Int(parts.tm_sec))
  }
}

/// The text of an answer, decoded token by token.
package struct AnswerText: Sendable {
  private let tokenizer: Tokenizer
  private var stream: TokenStream
  /// The bytes of the text before the answer that the stream has not returned yet.
  private var held = 0
  /// The text so far.
  package private(set) var text = ""

  package init(_ tokenizer: Tokenizer) {
    self.tokenizer = tokenizer
    stream = TokenStream(tokenizer)
  }

  /// Makes the answer continue the text of `tokens`, so that the space before its first word is kept.
  package mutating func `continue`(_ tokens: [Int]) {
    var written = 0
    for token in tokens { written += stream.append(token).utf8.count }
    held = tokenizer.decode(tokens, skippingSpecialTokens: true).utf8.count - written
  }

  /// Adds a token and returns the text that is now complete, which may be empty.
  package mutating func append(_ token: Int) -> String { take(stream.append(token)) }

  /// Ends the answer and returns the rest of its text.
  package mutating func finish() -> String { take(stream.finish()) }

  private mutating func take(_ piece: String) -> String {
    var piece = piece
    if held > 0 {
      let skipped = min(held, piece.utf8.count)
      piece = String(decoding: piece.utf8.dropFirst(skipped), as: UTF8.self)
      held -= skipped
    }
    text += piece
    return piece
  }
}
