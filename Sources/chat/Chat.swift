package import DuetCommandLine
package import DuetRuntime
package import DuetText

/// A conversation with a model that prints answers as they are generated, and their statistics.
package final class Chat<Engine: TextEngine & ~Copyable> {
  /// The messages so far.
  package var conversation: Conversation
  /// The last answer, for `/stats`.
  package private(set) var lastAnswer: Answer?
  /// The statistics line of the last answer, or nil before the first.
  package var statistics: String? { lastAnswer?.statistics(seed: settings.sampling.seed) }
  /// How answers are made.
  package private(set) var settings: AnswerSettings

  package let format: ChatFormat
  package let output: StandardOutput
  package let messages: Messages
  private var responder: Responder<Engine>
  private let tokenizer: Tokenizer
  private let filter: DisplayFilter

  /// Makes a conversation.
  ///
  /// - Parameters:
  ///   - responder: The generator of answers.
  ///   - conversation: The messages before.
  ///   - format: The way the conversation is encoded as tokens.
  ///   - tokenizer: The tokenizer that decodes the answers.
  ///   - settings: Those of the responder.
  ///   - output: The output for answers.
  ///   - messages: The output for warnings and progress.
  package init(
    _ responder: consuming Responder<Engine>, conversation: Conversation, format: ChatFormat,
    tokenizer: Tokenizer, settings: AnswerSettings, output: StandardOutput, messages: Messages
  ) {
    self.responder = responder
    self.conversation = conversation
    self.format = format
    self.tokenizer = tokenizer
    self.settings = settings
    self.output = output
    self.messages = messages
    filter = DisplayFilter(isTerminal: output.isTerminal)
  }

  /// Answers the last message and adds the answer to the conversation.
  ///
  /// An answer that is interrupted before it has text is not added.
  ///
  /// - Parameters:
  ///   - prints: Whether the text is printed to the output as it is generated, with a line break at
  ///     the end.
  ///   - isCancelled: Whether to stop.
  /// - Returns: The answer and its text.
  /// - Throws: The errors of `Responder.answer`, and `OutputError`.
  package func answer(
    prints: Bool, isCancelled: () -> Bool
  ) throws -> (answer: Answer, text: String) {
    var text = AnswerText(tokenizer)
    var progress: ProgressLine?
    var conversation = self.conversation
    // The conversation is stored also after an error, so that it agrees with the evaluated tokens.
    defer {
      self.conversation = conversation
      progress?.erase()
    }
    let answer = try responder.answer(&conversation, isCancelled: isCancelled) { event in
      switch event {
      case .prompt(let tokens):
        if format.isPlain { text.continue(tokens) }
      case .evaluated(let done, let total):
        // A short prompt is evaluated in one step and needs no progress line.
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

  /// Changes a setting.
  ///
  /// - Throws: `UsageError`; nothing is changed then.
  func set(_ name: String, to value: String) throws(UsageError) {
    try settings.set(name, to: value)
    responder.use(settings)
  }

  /// Saves the conversation with what the model computed for it.
  ///
  /// - Throws: `SessionFileError`.
  package func saveSession(to path: String) throws(SessionFileError) {
    try responder.save(to: path, note: ConversationFile.bytes(of: conversation))
  }

  /// Takes the conversation of a saved session, and what the model computed for it.
  ///
  /// - Throws: `SessionFileError`; `ChatError` when the session has no conversation, or one that the format cannot show.
  package func restore(_ session: SessionFile) throws {
    let loaded = try ConversationFile.conversation(in: session.note, path: session.path)
    try check(loaded, path: session.path)
    try responder.restore(session)
    conversation = loaded
  }

  /// Checks that a conversation from a file can be continued in this format.
  func check(_ loaded: Conversation, path: String) throws(ChatError) {
    if loaded.system != nil, format.isPlain {
      throw .notAConversation(
        path: path, problem: "it has a system text, which needs a chat template")
    }
  }

  /// The evaluated tokens, for consistency checks.
  package var evaluated: [Int] { responder.evaluated }

  private func print(_ text: String) throws {
    guard !text.isEmpty else { return }
    try output.write(filter(text))
    try output.flush()
  }
}
