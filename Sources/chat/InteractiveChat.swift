package import DuetCommandLine
import DuetRuntime
import DuetSystem
import DuetText

/// The interactive loop that reads lines, answers messages and runs commands.
package struct InteractiveChat<Engine: TextEngine & ~Copyable> {
  private let chat: Chat<Engine>
  private let showsStatistics: Bool
  private let readLine: (_ prompt: String) throws -> LineInput
  private let remember: (String) -> Void
  private let isCancelled: () -> Bool
  private let takeInterrupt: () -> Bool
  private let isTerminated: () -> Bool
  private let now: () -> Double
  /// The time in seconds when Ctrl-C was last pressed at an empty prompt.
  private var lastInterrupt = -Double.infinity

  /// The number of seconds within which a second Ctrl-C ends the program.
  private static var patience: Double { 2 }

  /// Makes the loop.
  ///
  /// - Parameters:
  ///   - chat: The conversation.
  ///   - showsStatistics: Whether statistics are shown after each answer.
  ///   - readLine: Shows a prompt and reads a line.
  ///   - remember: Adds a line to the history.
  ///   - isCancelled: Whether to stop an answer.
  ///   - takeInterrupt: Whether Ctrl-C was pressed since the last call.
  ///   - isTerminated: Whether the process has received SIGTERM.
  ///   - now: The time in seconds.
  package init(
    _ chat: Chat<Engine>, showsStatistics: Bool,
    readLine: @escaping (_ prompt: String) throws -> LineInput,
    remember: @escaping (String) -> Void, isCancelled: @escaping () -> Bool,
    takeInterrupt: @escaping () -> Bool, isTerminated: @escaping () -> Bool,
    now: @escaping () -> Double
  ) {
    self.chat = chat
    self.showsStatistics = showsStatistics
    self.readLine = readLine
    self.remember = remember
    self.isCancelled = isCancelled
    self.takeInterrupt = takeInterrupt
    self.isTerminated = isTerminated
    self.now = now
  }

  /// Runs until the user ends the program.
  ///
  /// - Returns: The exit code.
  /// - Throws: The errors that end the program: of output, and of the model's numbers.
  package mutating func run() throws -> ExitCode {
    while true {
      switch try readLine("> ") {
      case .endOfInput: return .success
      case .terminated: return .terminated
      case .interrupted(let hadText):
        if let code = interrupted(hadText) { return code }
      case .line(let line):
        lastInterrupt = -.infinity
        remember(line)
        if let code = try take(line) { return code }
        if isTerminated() { return .terminated }
      }
    }
  }

  private mutating func interrupted(_ hadText: Bool) -> ExitCode? {
    let time = now()
    if !hadText, time - lastInterrupt <= Self.patience { return .interrupted }
    lastInterrupt = hadText ? -.infinity : time
    if !hadText {
      chat.messages.line("(Ctrl-C again within 2 seconds leaves, and so does Ctrl-D or /exit)")
    }
    return nil
  }

  private mutating func take(_ line: String) throws -> ExitCode? {
    switch ChatInput(line) {
    case .message(let text): try say(text)
    case .beginning(let first):
      guard let text = try readRest(first) else { return isTerminated() ? .terminated : nil }
      try say(text)
    case .command(let command): return try perform(command)
    case .unknown(let name, let nearest):
      let suggestion = nearest.map { "did you mean \($0)?" } ?? "/help lists the commands;"
      chat.messages.error(
        "unknown command \(name); \(suggestion) a message that starts with a slash starts with //")
    case .incomplete(let usage): chat.messages.error("the command is \(usage)")
    }
    return nil
  }

  /// Reads lines up to one that ends with `"""`; nil when Ctrl-C or the end of input comes first.
  private func readRest(_ first: String) throws -> String? {
    var lines = first.isEmpty ? [] : [first]
    while true {
      guard case .line(let line) = try readLine("... ") else { return nil }
      remember(line)
      guard let end = ChatInput.closed(line) else {
        lines.append(line)
        continue
      }
      if !end.isEmpty { lines.append(end) }
      return lines.joined(separator: "\n")
    }
  }

  // MARK: - Talking

  private func say(_ text: String) throws {
    let isBlank = text.allSatisfy(\.isWhitespace)
    // At an empty line a model without a template continues the text.
    if isBlank, !chat.format.isPlain || chat.conversation.turns.isEmpty { return }
    chat.conversation.append(.user, text)
    if try !answer() { chat.conversation.withdraw(.user) }
  }

  /// Answers the last message.
  ///
  /// - Returns: Whether an answer was added.
  private func answer() throws -> Bool {
    _ = takeInterrupt()
    do {
      let (answer, text) = try chat.answer(prints: true, isCancelled: isCancelled)
      let wasInterrupted = takeInterrupt() || answer.stop == .interrupted
      if showsStatistics, let line = chat.statistics { chat.messages.line(line) }
      if wasInterrupted, text.isEmpty {
        chat.messages.note("stopped before the answer began, so nothing was added")
        return false
      }
      if wasInterrupted { chat.messages.note("stopped; what was written stays") }
      try chat.output.writeLine()
      try chat.output.flush()
      return true
    } catch let error as ChatError {
      chat.messages.error(error.description)
    } catch let error as ChatTemplateError {
      chat.messages.error(error.description)
    }
    return false
  }

  // MARK: - Commands

  private func perform(_ command: SlashCommand) throws -> ExitCode? {
    let messages = chat.messages
    switch command {
    case .exit: return .success
    case .clear:
      chat.conversation.clear()
      messages.line("(the conversation is forgotten)")
    case .regenerate: try regenerate()
    case .system(let text): setSystem(text)
    case .settings: messages.line(chat.settings.text)
    case .set(let name, let value):
      do throws(UsageError) {
        try chat.set(name, to: value)
        messages.line("(\(chat.settings.text))")
      } catch {
        messages.error(error.description)
      }
    case .statistics: messages.line(chat.statistics ?? "(no answer yet)")
    case .help: for line in SlashCommand.helpLines { messages.line(line) }
    case .save(let path): try report { try save(to: path) }
    case .load(let path): try report { try load(path) }
    }
    return nil
  }

  /// Saves the messages to a JSON file, or all of the session to another one.
  private func save(to path: String) throws {
    var written = "\(chat.conversation.messages.count) messages"
    let isReplaced: Bool
    if path.hasSuffix(".json") {
      isReplaced = try ConversationFile.save(chat.conversation, to: path)
    } else {
      isReplaced = fileExists(path)
      if isReplaced, !SessionFile.isSession(path) { throw ChatError.wouldOverwrite(path: path) }
      try chat.saveSession(to: path)
      written += " and \(chat.evaluated.count) evaluated tokens"
    }
    chat.messages.line("(\(written) written to \(path)\(isReplaced ? ", replacing it" : ""))")
  }

  private func load(_ path: String) throws {
    if SessionFile.isSession(path) {
      try chat.restore(try SessionFile(contentsOf: path))
    } else {
      let loaded = try ConversationFile.load(path)
      try chat.check(loaded, path: path)
      chat.conversation = loaded
    }
    chat.messages.line("(\(chat.conversation.messages.count) messages read from \(path))")
  }

  private func report(_ body: () throws -> Void) throws {
    do {
      try body()
    } catch let error as ChatError {
      chat.messages.error(error.description)
    } catch let error as SessionFileError {
      chat.messages.error(error.description)
    }
  }

  private func regenerate() throws {
    let old = chat.conversation.withdraw(.assistant)
    guard chat.conversation.awaitsAnswer else {
      chat.messages.error("there is no message to answer again")
      return
    }
    if try !answer(), let old { chat.conversation.append(.assistant, old.content) }
  }

  private func setSystem(_ text: String) {
    if chat.format.isPlain {
      chat.messages.error("a system text needs a chat template, and there is none")
    } else if text.isEmpty {
      chat.messages.line(chat.conversation.system.map { "system: \($0)" } ?? "(no system text)")
    } else {
      chat.conversation.system = text
      chat.messages.line("(the system text is set, for the whole conversation)")
    }
  }
}
