package import DuetCommandLine
package import DuetText

/// A conversation with a model: makes answers, prints them as they come, and reports on them.
package final class Chat<Engine: TextEngine & ~Copyable> {
  /// What was said so far.
  package var conversation: Conversation
  /// The last answer, for `/stats`.
  package private(set) var lastAnswer: Answer?
  /// The statistics line of the last answer, or nil before the first.
  package var statistics: String? { lastAnswer?.statistics(seed: seed) }

  package let format: ChatFormat
  package let output: StandardOutput
  package let messages: Messages
  let seed: UInt64
  private var responder: Responder<Engine>
  private let tokenizer: Tokenizer
  private let filter: DisplayFilter

  /// Makes a conversation.
  ///
  /// - Parameters:
  ///   - responder: What makes the answers.
  ///   - conversation: What was said before.
  ///   - format: How the conversation becomes tokens, for its kind of text.
  ///   - tokenizer: What turns tokens into text.
  ///   - seed: The seed, for statistics.
  ///   - output: Where answers go.
  ///   - messages: Where everything else goes.
  package init(
    _ responder: consuming Responder<Engine>, conversation: Conversation, format: ChatFormat,
    tokenizer: Tokenizer, seed: UInt64, output: StandardOutput, messages: Messages
  ) {
    self.responder = responder
    self.conversation = conversation
    self.format = format
    self.tokenizer = tokenizer
    self.seed = seed
    self.output = output
    self.messages = messages
    filter = DisplayFilter(isTerminal: output.isTerminal)
  }

  /// Answers the last message and adds the answer to the conversation.
  ///
  /// An answer without any text, stopped before its beginning, is not added.
  ///
  /// - Parameters:
  ///   - prints: Whether the text goes to standard output as it comes, ended by a line break.
  ///   - isCancelled: Whether to stop.
  /// - Returns: The answer and its text.
  /// - Throws: As `Responder.answer`, and `OutputError`.
  package func answer(
    prints: Bool, isCancelled: () -> Bool
  ) throws -> (answer: Answer, text: String) {
    var text = AnswerText(tokenizer)
    var progress: ProgressLine?
    var conversation = self.conversation
    // What was said so far and what stands in the model stay true when something fails half-way.
    defer {
      self.conversation = conversation
      progress?.erase()
    }
    let answer = try responder.answer(&conversation, isCancelled: isCancelled) { event in
      switch event {
      case .prompt(let tokens):
        if format.isPlain { text.continue(tokens) }
      case .evaluated(let done, let total):
        // Short prompts are done before a line could be read.
        if progress == nil, total > done {
          progress = ProgressLine("reading", total: total, unit: "tok", messages: messages)
        }
        progress?.update(done)
        if done == total { progress?.finish(done) }
      case .dropped(let turns, let tokens):
        messages.warning(
          "the context is full: the oldest \(turns == 1 ? "turn" : "\(turns) turns") "
            + "(\(tokens) tokens) went out of the model's sight")
      case .token(let token):
        if prints { try print(text.append(token)) } else { _ = text.append(token) }
      }
    }
    let rest = text.finish()
    if prints {
      try print(rest)
      if text.text.utf8.last != UInt8(ascii: "\n") { try print("\n") }
    }
    if answer.stop == .contextFull {
      messages.warning(
        "the context of \(answer.contextLength) tokens is full, so the answer ends here; "
          + "see --on-full and --context")
    }
    if answer.stop != .interrupted || !text.text.isEmpty {
      conversation.append(.assistant, text.text)
    }
    lastAnswer = answer
    return (answer, text.text)
  }

  /// The evaluated tokens, for checks of their consistency.
  package var evaluated: [Int] { responder.evaluated }

  private func print(_ text: String) throws {
    guard !text.isEmpty else { return }
    try output.write(filter(text))
    try output.flush()
  }
}
