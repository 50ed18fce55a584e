extension ChatTemplate {
  /// The token ids of a conversation.
  ///
  /// The text begins with the token that begins a sequence if the template writes it or the tokenizer
  /// adds it, and never with two of them. Control strings in message contents stay plain text.
  ///
  /// - Parameters:
  ///   - messages: The turns, oldest first.
  ///   - tokenizer: The model's tokenizer.
  ///   - addGenerationPrompt: Whether the text ends where the model's answer is to begin.
  ///   - date: The time that `strftime_now` returns in templates.
  ///   - dateString: The variable `date_string`, which replaces the fixed date of some templates.
  /// - Returns: The ids.
  /// - Throws: `ChatTemplateError`; see `render`.
  public func tokens(
    for messages: [ChatMessage],
    tokenizer: Tokenizer,
    addGenerationPrompt: Bool = true,
    date: CalendarDate,
    dateString: String? = nil
  ) throws(ChatTemplateError) -> [Int] {
    tokens(
      of: try segments(
        for: messages, tokenizer: tokenizer, addGenerationPrompt: addGenerationPrompt, date: date,
        dateString: dateString), tokenizer: tokenizer)
  }

  /// The text of a conversation for a tokenizer, cut where message contents begin and end.
  ///
  /// - Throws: `ChatTemplateError`; see `render`.
  package func segments(
    for messages: [ChatMessage], tokenizer: Tokenizer, addGenerationPrompt: Bool = true,
    date: CalendarDate, dateString: String? = nil
  ) throws(ChatTemplateError) -> [TextSegment] {
    func text(_ id: Int?) -> String {
      id.flatMap(tokenizer.piece).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }
    return try render(
      messages, addGenerationPrompt: addGenerationPrompt,
      beginningOfSequence: text(tokenizer.beginningOfSequence),
      endOfSequence: text(tokenizer.endOfSequence), date: date, dateString: dateString)
  }

  /// The ids of a rendered conversation, which begin once with the token that begins a sequence.
  package func tokens(of segments: [TextSegment], tokenizer: Tokenizer) -> [Int] {
    var ids = tokenizer.encode(segments)
    guard let begin = tokenizer.beginningOfSequence else { return ids }
    let written = ids.prefix { $0 == begin }.count
    if written > 1 { ids.removeFirst(written - 1) }
    if written == 0, tokenizer.addsBeginningOfSequence { ids.insert(begin, at: 0) }
    return ids
  }
}
