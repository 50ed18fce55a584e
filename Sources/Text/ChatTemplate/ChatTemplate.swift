/// The program that turns a conversation into the text a chat model was trained on.
///
/// Reads the Jinja language as Hugging Face sets it up. What is not supported is an error that names
/// the construct and its line, when a conversation reaches it. A template comes with a downloaded
/// model, so it has no access to anything but the conversation, and its steps, nesting and output are
/// bounded.
///
/// The rendered text records which parts the template wrote and which came from messages, also
/// after trimming, joining and slicing; see `TextSegment`.
public struct ChatTemplate: Sendable {
  /// The largest source accepted, in bytes; the longest published ones have about 15 KiB.
  public static let sourceLimit = 256 << 10

  /// Where the template comes from, for messages: a path, or a family's name.
  public let origin: String
  private let program: TemplateProgram

  /// The template with the given source.
  ///
  /// - Parameters:
  ///   - source: The template's text.
  ///   - origin: Where the text comes from, for messages.
  /// - Throws: `ChatTemplateError` when the source is too large, malformed or nested too deeply.
  /// - Complexity: O(length of `source`).
  public init(source: String, origin: String = "chat template") throws(ChatTemplateError) {
    let size = source.utf8.count
    guard size <= Self.sourceLimit else {
      throw .sourceTooLarge(bytes: size, limit: Self.sourceLimit)
    }
    self.origin = origin
    program = try TemplateParser.parse(source)
  }

  /// The built-in template of a family.
  ///
  /// - Throws: `ChatTemplateError`; in practice never, since the tests render every family.
  public init(family: ChatTemplateFamily) throws(ChatTemplateError) {
    try self.init(source: family.source, origin: family.rawValue)
  }

  /// The built-in template of the family with the given name, such as `llama-3`.
  ///
  /// - Throws: `ChatTemplateError.unknownFamily` when there is none.
  public init(named name: String) throws(ChatTemplateError) {
    guard let family = ChatTemplateFamily(rawValue: name) else { throw .unknownFamily(name: name) }
    try self.init(family: family)
  }

  /// The text of a conversation.
  ///
  /// - Parameters:
  ///   - messages: The turns, oldest first; the system message, if any, is the first.
  ///   - addGenerationPrompt: Whether the text ends where the model's answer is to begin.
  ///   - beginningOfSequence: The text of the token that begins a sequence; may be empty.
  ///   - endOfSequence: The text of the token that ends a sequence; may be empty.
  ///   - date: The time that `strftime_now` returns in templates.
  ///   - dateString: The variable `date_string`, which replaces the fixed date of some templates.
  ///   - movesSystemText: Whether the text of a system message that the template refuses or leaves out
  ///     goes to the beginning of the first user turn, followed by an empty line.
  /// - Returns: The text, cut where message contents begin and end; no segment is empty.
  /// - Throws: `ChatTemplateError` when the template refuses the conversation, fails or exceeds a
  ///   limit.
  /// - Complexity: bounded by the limits of 10^6 steps and 16 MiB of output.
  public func render(
    _ messages: [ChatMessage],
    addGenerationPrompt: Bool = true,
    beginningOfSequence: String,
    endOfSequence: String,
    date: CalendarDate,
    dateString: String? = nil,
    movesSystemText: Bool = true
  ) throws(ChatTemplateError) -> [TextSegment] {
    var variables: [String: TemplateValue] = [
      "add_generation_prompt": .bool(addGenerationPrompt),
      "bos_token": .text(TemplateText(beginningOfSequence)),
      "eos_token": .text(TemplateText(endOfSequence)),
      "tools": .none,
      "documents": .none,
    ]
    if let dateString {
      variables["date_string"] = .text(TemplateText(dateString, isContent: true))
    }

    func text(of messages: [ChatMessage]) throws(ChatTemplateError) -> TemplateText {
      variables["messages"] = .list(TemplateList(messages.map(\.templateValue)))
      return try TemplateInterpreter.render(program, variables: variables, date: date)
    }

    guard movesSystemText, let folded = Self.foldingSystemMessage(of: messages) else {
      return try text(of: messages).segments
    }
    do {
      let rendered = try text(of: messages)
      let instructions = TemplateText(messages[0].content).stripped()
      if rendered.contains(instructions) { return rendered.segments }
    } catch .conversationRefused {
      // The template may have no system role. If it refused for another reason, it refuses again.
    }
    return try text(of: folded).segments
  }

  /// The conversation with its system message put before the text of the first user turn, or nil
  /// when there is no system message or no user turn.
  private static func foldingSystemMessage(of messages: [ChatMessage]) -> [ChatMessage]? {
    guard let system = messages.first, system.role == .system,
      let first = messages.firstIndex(where: { $0.role == .user })
    else { return nil }
    var folded = messages
    folded[first].content = system.content + "\n\n" + folded[first].content
    folded.removeFirst()
    return folded
  }
}
