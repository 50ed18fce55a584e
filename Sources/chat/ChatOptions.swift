package import DuetCommandLine
package import DuetRuntime
package import DuetText

/// The choice of a chat template.
package enum TemplateChoice: RawRepresentable, CaseIterable, Sendable, Equatable {
  /// The template of the model.
  case auto
  /// A built-in template.
  case family(ChatTemplateFamily)
  /// None: the model continues plain text.
  case none

  package static let allCases = [.auto] + ChatTemplateFamily.allCases.map(Self.family) + [.none]

  package init?(rawValue: String) {
    guard let choice = Self.allCases.first(where: { $0.rawValue == rawValue }) else { return nil }
    self = choice
  }

  package var rawValue: String {
    switch self {
    case .auto: "auto"
    case .family(let family): family.rawValue
    case .none: "none"
    }
  }
}

/// The options of `chat`.
package enum ChatOptions {
  package static let prompt: Option<String?> = .string(
    "prompt", short: "p", "TEXT", help: "Answer this and exit; '-' reads it from standard input")
  package static let messages: Option<String?> = .string(
    "messages", "FILE",
    help: "Answer the conversation in this JSON file, an array of objects with role and content, "
      + "and exit; '-' reads it from standard input")
  package static let system: Option<String?> = .string(
    "system", "TEXT", help: "Instructions for the whole conversation")
  package static let context: Option<Int?> = .integer(
    "context", short: "c", "N", in: 1...16_777_216,
    defaultText: "4096, or the model's context length if that is shorter",
    help: "The number of tokens of the context")
  package static let maximum = Option.integer(
    "max-tokens", short: "n", "N", in: 1...16_777_216, default: 512,
    help: "The largest number of tokens of an answer")
  package static let temperature: Option<Double?> = .number(
    "temperature", "X", in: 0...1000, defaultText: advised("0.7"),
    help: "Below 1, likely tokens become more likely; 0 always chooses the likeliest token")
  package static let topK: Option<Int?> = .integer(
    "top-k", "N", in: -1...16_777_216, defaultText: advised("40"),
    help: "Choose among the N likeliest tokens; 0 and -1 mean all")
  package static let topP: Option<Double?> = .number(
    "top-p", "X", in: 0...1, defaultText: advised("0.95"),
    help: "Choose among the likeliest tokens that together have this share of the probability")
  package static let minP: Option<Double?> = .number(
    "min-p", "X", in: 0...1, defaultText: advised("0.05"),
    help: "Choose among tokens with at least this share of the likeliest one's probability")
  package static let repeatPenalty: Option<Double?> = .number(
    "repeat-penalty", "X", in: 0.01...1000, defaultText: advised("1.0"),
    help: "Above 1, recent tokens become less likely")
  package static let seed: Option<UInt64?> = .seed(
    "seed", short: "s", "N", defaultText: "random, shown by --stats",
    help: "The seed of the random choices")
  package static let raw = Option.flag(
    "raw", help: "Continue the prompt as plain text, without a template; same as --template none")
  package static let template: Option<TemplateChoice> = .choice(
    "template", default: .auto, help: "The chat template; auto uses the model's own")
  package static let templateFile: Option<String?> = .string(
    "template-file", "FILE", help: "Use the chat template in this file, in the Jinja language")
  package static let showPrompt = Option.flag(
    "show-prompt",
    help: "Print the text that the model would get, with --json also its tokens, and exit; weights "
      + "are not loaded")
  package static let onFull: Option<FullContextPolicy> = .choice(
    "on-full", default: .stop,
    help: "When the context is full: end the answer, or drop the oldest turns but not the system "
      + "text")
  package static let cache: Option<KVCacheType> = .choice(
    "kv-cache", default: .f16, help: "The element type of keys and values in memory")
  package static let session: Option<String?> = .string(
    "session", "FILE",
    help:
      "Continue the conversation in FILE, if it is there, and write it there at the end, with the "
      + "model's keys and values, so that it need not be evaluated again")
  package static let promptCache: Option<String?> = .string(
    "prompt-cache", "FILE",
    help:
      "Reuse the beginning of the prompt that FILE has evaluated; if FILE is not there, write the "
      + "first prompt of this run to it")
  package static let statistics = Option.flag(
    "stats", help: "Print a line of statistics on standard error after each answer")

  private static func advised(_ text: String) -> String {
    "\(text), or the value in generation_config.json"
  }

  package static let command = Command(
    name: "chat",
    summary: "talks with a Llama, Mistral or Qwen2 model, or lets it continue a text.",
    options: [
      CommonOptions.model, prompt, messages, system, context, maximum, temperature, topK, topP,
      minP,
      repeatPenalty, seed, CommonOptions.threads, CommonOptions.withoutMapping,
      CommonOptions.verify, raw, template, templateFile, showPrompt, session, promptCache,
      onFull, cache,
      CommonOptions.activations, statistics, CommonOptions.json, CommonOptions.quiet,
      CommonOptions.verbose,
    ],
    notes: [
      "Interactive when standard input and standard output are terminals and there is neither -p nor "
        + "--messages; otherwise it answers once and exits. The prompt is then the text of -p, or "
        + "standard input without its last line break. The answer goes to standard output and ends "
        + "with a line break; everything else goes to standard error. On a terminal, control "
        + "characters in the answer are shown escaped.",
      "The files of --session and --prompt-cache belong to the model, --kv-cache and --activations that "
        + "they were written with, and are refused for others. --session writes its file when the "
        + "program ends, also after Ctrl-C; --prompt-cache never changes a file that is there.",
      "At the prompt, /help lists the commands. Ctrl-C stops an answer and keeps its text so far; "
        + "pressed twice within two seconds at an empty prompt, it ends the program.",
    ])
}

/// The values of the options for a model.
package struct ChatSettings: Sendable {
  package let system: String?
  package let answers: AnswerSettings
  package let isPlain: Bool
  package let template: TemplateChoice
  package let templateFile: String?
  package let messagesPath: String?
  package let showsPrompt: Bool
  package let sessionPath: String?
  package let promptCachePath: String?
  package let onFull: FullContextPolicy
  package let showsStatistics: Bool
  package let isJSON: Bool

  /// Reads the options, checks that they can be combined, and takes defaults from `advice`.
  ///
  /// - Throws: `UsageError.conflict`.
  package init(
    _ arguments: Arguments, advice: GenerationConfiguration, randomSeed: UInt64
  ) throws(UsageError) {
    system = arguments[ChatOptions.system]
    template = arguments[ChatOptions.template]
    templateFile = arguments[ChatOptions.templateFile]
    messagesPath = arguments[ChatOptions.messages]
    showsPrompt = arguments[ChatOptions.showPrompt]
    isPlain = arguments[ChatOptions.raw] || template == .none
    sessionPath = arguments[ChatOptions.session]
    promptCachePath = arguments[ChatOptions.promptCache]
    onFull = arguments[ChatOptions.onFull]
    showsStatistics = arguments[ChatOptions.statistics]
    isJSON = arguments[CommonOptions.json]
    if arguments[ChatOptions.raw], template != .none, arguments.isGiven(ChatOptions.template) {
      throw .conflict("--raw means --template none; give one of the two")
    }
    if templateFile != nil, isPlain || template != .auto {
      throw .conflict("--template-file, --template and --raw choose a template; give one of them")
    }
    if messagesPath != nil {
      if arguments[ChatOptions.prompt] != nil || system != nil {
        throw .conflict("--messages has the whole conversation; leave out --prompt and --system")
      }
      if isPlain {
        throw .conflict(
          "--messages needs a chat template, which --raw and --template none turn off")
      }
    }
    if sessionPath != nil, promptCachePath != nil {
      throw .conflict("--session has the prompt too; leave out --prompt-cache")
    }
    if sessionPath != nil, messagesPath != nil {
      throw .conflict("--session and --messages are both a conversation; give one of them")
    }
    if showsPrompt, sessionPath != nil || promptCachePath != nil {
      throw .conflict(
        "--show-prompt does not run the model; leave out --session and --prompt-cache")
    }
    if isPlain, system != nil {
      throw .conflict("--system needs a chat template, which --raw and --template none turn off")
    }
    answers = AnswerSettings(
      sampling: SamplingOptions(
        temperature: arguments[ChatOptions.temperature] ?? advice.temperature ?? 0.7,
        topK: arguments[ChatOptions.topK].map { max(0, $0) } ?? advice.topK ?? 40,
        topP: arguments[ChatOptions.topP] ?? advice.topP ?? 0.95,
        minP: arguments[ChatOptions.minP] ?? advice.minP ?? 0.05,
        repetitionPenalty: arguments[ChatOptions.repeatPenalty] ?? advice.repetitionPenalty ?? 1,
        seed: arguments[ChatOptions.seed] ?? randomSeed),
      maximumCount: arguments[ChatOptions.maximum])
  }
}
