import DuetCommandLine
import DuetRuntime
import DuetSystem
import DuetText

/// The program: loads the model and answers one prompt or runs an interactive chat.
enum ChatProgram {
  /// The longest prompt read from standard input, in bytes.
  private static let inputLimit = 64_000_000

  static func run(_ invocation: Invocation) throws -> ExitCode {
    let arguments = invocation.arguments
    let folder = arguments[CommonOptions.model]
    let isInteractive =
      arguments[ChatOptions.prompt] == nil && arguments[ChatOptions.messages] == nil
      && StandardInput.isTerminal && invocation.output.isTerminal
    if isInteractive, arguments[CommonOptions.json] {
      throw UsageError.conflict("--json needs a prompt: -p TEXT, or text on standard input")
    }
    // The options are checked before the model is loaded, therefore without the model's defaults.
    let checked = try ChatSettings(arguments, advice: GenerationConfiguration(), randomSeed: 0)
    if checked.showsPrompt {
      if isInteractive {
        throw UsageError.conflict("--show-prompt needs a prompt: -p TEXT or --messages FILE")
      }
      return try showPrompt(checked, folder: folder, invocation)
    }
    // Before hours of talk that could not be kept.
    if let path = checked.sessionPath { try SessionFile.checkWriting(to: path) }
    if let path = checked.promptCachePath, !fileExists(path) {
      try SessionFile.checkWriting(to: path)
    }
    // They are read first, because a mistake in them should not wait for the weights.
    let conversation = try checked.messagesPath.map {
      Conversation(messages: try MessagesFile.load($0))
    }

    let model = try invocation.loadModel(folder)
    let tokenizer = try invocation.messages.loadTokenizer(folder)
    guard tokenizer.vocabularySize > 0 else { throw ChatError.emptyVocabulary(folder: folder) }
    let advice = try GenerationConfiguration(folder: folder)
    let settings = try ChatSettings(
      arguments, advice: advice, randomSeed: UInt64(UInt32.random(in: 0 ... .max)))
    let stops = StopTokens(
      configuration: model.configuration.endOfSequence, generation: advice, tokenizer: tokenizer)
    let format = try chatFormat(
      settings, folder: folder, tokenizer: tokenizer, stops: stops, invocation.messages)

    let session = try makeSession(model, arguments, invocation.messages)
    describe(model, session.threadCount, format, settings, invocation.messages)
    var responder = Responder(
      SessionEngine(
        session, settings.answers.sampling, vocabularySize: tokenizer.vocabularySize),
      maximumCount: settings.answers.maximumCount, policy: settings.onFull, isStop: stops.contains,
      encode: { messages in
        try invocation.messages.encoding("the conversation", with: tokenizer) {
          try format.tokens(for: messages)
        }
      }, now: Clock.seconds)
    if let path = settings.promptCachePath {
      if fileExists(path) {
        try responder.restore(try SessionFile(contentsOf: path))
      } else {
        responder.savePrompt(to: path)
      }
    }
    let chat = Chat(
      responder, conversation: conversation ?? Conversation(system: settings.system),
      format: format,
      tokenizer: tokenizer, settings: settings.answers, output: invocation.output,
      messages: invocation.messages)
    if let path = settings.sessionPath, fileExists(path) {
      try chat.restore(try SessionFile(contentsOf: path))
      if let system = settings.system { chat.conversation.system = system }
    }
    let code =
      isInteractive
      ? try talk(chat, settings, invocation) : try answerOnce(chat, settings, invocation)
    if let path = settings.sessionPath { try chat.saveSession(to: path) }
    return code
  }

  // MARK: - Set-up

  private static func chatFormat(
    _ settings: ChatSettings, folder: String, tokenizer: Tokenizer, stops: StopTokens,
    _ messages: Messages
  ) throws -> ChatFormat {
    if settings.isPlain { return ChatFormat(template: nil, tokenizer: tokenizer) }
    if case .family(let family) = settings.template {
      return ChatFormat(template: try ChatTemplate(family: family), tokenizer: tokenizer)
    }
    if let path = settings.templateFile {
      return ChatFormat(template: try ChatTemplate(contentsOf: path), tokenizer: tokenizer)
    }
    let template = try ChatTemplate.load(folder: folder, tokenizer: tokenizer, stopTokens: stops)
    if template == nil {
      if settings.system != nil || settings.messagesPath != nil {
        throw UsageError.conflict(
          "\(settings.system == nil ? "--messages" : "--system") needs a chat template, and this "
            + "model has none; name one with --template")
      }
      messages.note(
        "this model has no chat template, so it continues your text; --template names one")
    }
    return ChatFormat(template: template, tokenizer: tokenizer)
  }

  private static func makeSession(
    _ model: Model, _ arguments: Arguments, _ messages: Messages
  ) throws -> Session {
    let trained = model.configuration.contextLength
    let wanted = arguments[ChatOptions.context]
    if let wanted, wanted > trained {
      messages.warning(
        "the model was made for \(trained) tokens of context; beyond them its text gets worse")
    }
    return try Session(
      model,
      options: SessionOptions(
        contextLength: wanted ?? min(4096, trained),
        threadCount: arguments[CommonOptions.threads] ?? SessionOptions.processorCount,
        cacheType: arguments[ChatOptions.cache],
        activations: arguments[CommonOptions.activations]))
  }

  private static func describe(
    _ model: Model, _ threadCount: Int, _ format: ChatFormat, _ settings: ChatSettings,
    _ messages: Messages
  ) {
    let configuration = model.configuration
    messages.detail(
      "\(configuration.layerCount) layers, width \(configuration.hiddenSize), "
        + "\(configuration.vocabularySize) tokens; \(threadCount) threads")
    messages.detail("template: \(format.name)")
    messages.detail(settings.answers.text)
  }

  // MARK: - Showing the prompt

  /// Prints the text of the conversation that the model would get.
  private static func showPrompt(
    _ settings: ChatSettings, folder: String, _ invocation: Invocation
  ) throws -> ExitCode {
    let tokenizer = try invocation.messages.loadTokenizer(folder)
    guard tokenizer.vocabularySize > 0 else { throw ChatError.emptyVocabulary(folder: folder) }
    // A folder with only a tokenizer will do.
    let configuration = try? Configuration(contentsOf: "\(folder)/config.json")
    let stops = StopTokens(
      configuration: configuration?.endOfSequence ?? [],
      generation: try GenerationConfiguration(folder: folder), tokenizer: tokenizer)
    let format = try chatFormat(
      settings, folder: folder, tokenizer: tokenizer, stops: stops, invocation.messages)
    var conversation = Conversation(system: settings.system)
    if let path = settings.messagesPath {
      conversation = Conversation(messages: try MessagesFile.load(path))
    } else {
      conversation.append(.user, try prompt(invocation))
    }
    let (text, tokens) = try invocation.messages.encoding("the conversation", with: tokenizer) {
      try format.prompt(for: conversation.messages)
    }
    if settings.isJSON {
      try invocation.output.write([
        "prompt": .string(text), "tokens": .array(tokens.map { .integer($0) }),
        "template": .string(format.name),
      ])
    } else {
      try invocation.output.write(DisplayFilter(isTerminal: invocation.output.isTerminal)(text))
    }
    return .success
  }

  // MARK: - Talking

  private static func answerOnce(
    _ chat: Chat<SessionEngine>, _ settings: ChatSettings, _ invocation: Invocation
  ) throws -> ExitCode {
    if settings.messagesPath == nil { chat.conversation.append(.user, try prompt(invocation)) }
    InterruptFlag.install()
    let (answer, text) = try chat.answer(
      prints: !settings.isJSON, isCancelled: { InterruptFlag.isRaised })
    if settings.isJSON {
      try chat.output.write(
        answer.document(
          text: text, template: chat.format.name, seed: settings.answers.sampling.seed))
    }
    if settings.showsStatistics, let line = chat.statistics { chat.messages.line(line) }
    return InterruptFlag.isRaised ? InterruptFlag.exitCode : .success
  }

  private static func prompt(_ invocation: Invocation) throws -> String {
    if let prompt = invocation.arguments[ChatOptions.prompt], prompt != "-" { return prompt }
    if StandardInput.isTerminal {
      invocation.messages.note("reading the prompt from the terminal; Ctrl-D at its end")
    }
    let text = try StandardInput.readText(limit: inputLimit)
    // `echo` and editors add a line break at the end, which is not part of the prompt.
    return text.utf8.last == UInt8(ascii: "\n") ? String(text.unicodeScalars.dropLast()) : text
  }

  private static func talk(
    _ chat: Chat<SessionEngine>, _ settings: ChatSettings, _ invocation: Invocation
  ) throws -> ExitCode {
    guard let reader = LineReader(output: invocation.output) else {
      throw UsageError.conflict("the terminal cannot be used; give a prompt with -p")
    }
    defer { reader.close() }
    chat.messages.note("/help lists the commands, Ctrl-D leaves")
    var loop = InteractiveChat(
      chat, showsStatistics: settings.showsStatistics, readLine: reader.readLine,
      remember: reader.remember, isCancelled: { InterruptFlag.isRaised },
      takeInterrupt: InterruptFlag.takeInterrupt, isTerminated: { InterruptFlag.isTerminated },
      now: Clock.seconds)
    return try loop.run()
  }
}

/// The clock of the measurements.
private enum Clock {
  private static let origin = ContinuousClock.now

  /// The seconds since the first call, by a monotonic clock.
  static func seconds() -> Double {
    origin.duration(to: .now) / .seconds(1)
  }
}
