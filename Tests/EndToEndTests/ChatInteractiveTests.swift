import DuetCommandLine
import DuetRuntime
import DuetText
import Foundation
import TestSupport
import Testing
import chat

/// Runs the loop at the prompt with scripted input, the fake engine and files for the output.
private struct Script {
  var inputs: [LineInput]
  var format = ChatFormat(template: nil, tokenizer: Self.tokenizer)
  var times: [Double] = []
  /// At which question an answer is cancelled; negative for never.
  var cancelAt = -1
  var contextLength = 4096

  static let tokenizer: Tokenizer = {
    do {
      return try Tokenizer(contentsOf: SharedData.project("models/stories"))
    } catch {
      fatalError("\(error)")
    }
  }()

  static func templated() throws -> ChatFormat {
    ChatFormat(template: try ChatTemplate(named: "llama-3"), tokenizer: tokenizer)
  }

  func run() throws -> (
    code: ExitCode, out: String, err: String, conversation: Conversation, prompts: [String]
  ) {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("duet-script-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let outPath = folder.appendingPathComponent("out")
    let errPath = folder.appendingPathComponent("err")
    _ = FileManager.default.createFile(atPath: outPath.path, contents: nil)
    _ = FileManager.default.createFile(atPath: errPath.path, contents: nil)
    let out = try FileHandle(forWritingTo: outPath)
    let err = try FileHandle(forWritingTo: errPath)

    let engine = FakeEngine(contextLength: contextLength, endRate: 9)
    let responder = Responder(
      engine, maximumCount: 20, policy: .stop, isStop: { $0 == engine.end },
      encode: format.tokens, now: { 0 })
    let chat = Chat(
      responder, conversation: Conversation(), format: format, tokenizer: Self.tokenizer,
      settings: AnswerSettings(sampling: SamplingOptions(seed: 1), maximumCount: 20),
      output: StandardOutput(descriptor: out.fileDescriptor),
      messages: Messages(name: "chat", descriptor: err.fileDescriptor))
    var rest = inputs[...]
    var clock = times[...]
    var prompts: [String] = []
    var questions = 0
    var loop = InteractiveChat(
      chat, showsStatistics: false,
      readLine: { prompt in
        prompts.append(prompt)
        return rest.popFirst() ?? .endOfInput
      }, remember: { _ in },
      isCancelled: {
        questions += 1
        return questions > cancelAt && cancelAt >= 0
      }, takeInterrupt: { false }, isTerminated: { false }, now: { clock.popFirst() ?? 0 })
    let code = try loop.run()
    try chat.output.flush()
    return (
      code, try String(contentsOf: outPath, encoding: .utf8),
      try String(contentsOf: errPath, encoding: .utf8), chat.conversation, prompts
    )
  }
}

@Suite("Interactive chat")
struct ChatInteractiveTests {
  @Test("a conversation grows by turns")
  func aConversationGrowsByTurns() throws {
    let script = Script(
      inputs: [.line("hello"), .line(""), .line("   "), .line("again"), .line("/exit")],
      format: try Script.templated())
    let result = try script.run()
    #expect(result.code == .success)
    #expect(result.conversation.turns.map(\.role) == [.user, .assistant, .user, .assistant])
    let answers = result.conversation.turns.filter { $0.role == .assistant }.map(\.content)
    #expect(result.out == answers.map { $0.hasSuffix("\n") ? $0 + "\n" : $0 + "\n\n" }.joined())
    #expect(result.err == "")
  }

  @Test("commands act on the conversation")
  func commandsActOnTheConversation() throws {
    let path = FileManager.default.temporaryDirectory
      .appendingPathComponent("duet-chat-\(UUID().uuidString).json").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    let script = Script(
      inputs: [
        .line("/regen"), .line("/stats"), .line("/system Be kind."), .line("/system"),
        .line("one"), .line("//two"), .line("/regen"), .line("/save \(path)"), .line("/clear"),
        .line("/load \(path)"), .line("/load \(path).not"), .line("/sav x"), .line("/save"),
        .line("/help"),
      ], format: try Script.templated())
    let result = try script.run()
    #expect(result.code == .success)
    #expect(
      result.conversation.messages.map(\.role) == [.system, .user, .assistant, .user, .assistant])
    #expect(result.conversation.turns[2].content == "/two")
    #expect(try ConversationFile.load(path) == result.conversation)
    for part in [
      "chat: there is no message to answer again\n", "(no answer yet)\n",
      "system: Be kind.\n", "(5 messages written to \(path))\n",
      "(the conversation is forgotten)\n",
      "(5 messages read from \(path))\n", "\(path).not: no such file\n",
      "unknown command /sav; did you mean /save?", "the command is /save FILE\n",
      "/regen         answer the last message again\n",
    ] {
      #expect(result.err.contains(part))
    }
  }

  @Test("settings are shown and changed, and what is not accepted is refused")
  func settings() throws {
    let script = Script(
      inputs: [
        .line("/set"), .line("/set temperature 0.25"), .line("/set top-k -1"),
        .line("/set max-tokens 2"), .line("hello"), .line("/stats"), .line("/set max-tokens 5"),
        .line("again"), .line("/stats"),
        .line("/set temperature hot"), .line("/set top-p 2"), .line("/set temprature 1"),
        .line("/set help 1"), .line("/set seed"), .line("/set seed 7"), .line("/set"),
      ], format: try Script.templated())
    let result = try script.run()
    for part in [
      "temperature 0.7, top-k 40, top-p 0.95, min-p 0.05, repeat-penalty 1.0, seed 1, max-tokens 20\n",
      "generated 2 tok", "generated 5 tok", "(temperature 0.25, top-k 40,",
      "(temperature 0.25, top-k 0,", "max-tokens 2)\n",
      "--temperature: 'hot' is not a number from 0 to 1000",
      "--top-p: '2' is not a number from 0 to 1",
      "there is no setting 'temprature'; the settings are temperature, top-k, top-p,",
      "there is no setting 'help'",
      "the command is /set NAME VALUE, or /set alone\n",
      "temperature 0.25, top-k 0, top-p 0.95, min-p 0.05, repeat-penalty 1.0, seed 7, max-tokens 5\n",
    ] {
      #expect(result.err.contains(part), "\(part) in \(result.err)")
    }
  }

  @Test("three quotation marks begin and end a block of lines")
  func blocksOfManyLines() throws {
    let script = Script(
      inputs: [
        .line("\"\"\"first"), .line("/exit"), .line("last\"\"\""), .line("\"\"\""),
        .interrupted(hadText: true), .line("plain"),
      ], format: try Script.templated())
    let result = try script.run()
    let said = result.conversation.turns.filter { $0.role == .user }.map(\.content)
    #expect(said == ["first\n/exit\nlast", "plain"])
    #expect(result.prompts == ["> ", "... ", "... ", "> ", "... ", "> ", "> "])
  }

  @Test("Ctrl-C twice within two seconds leaves")
  func controlCTwiceWithinTwoSecondsLeaves() throws {
    let empty = LineInput.interrupted(hadText: false)
    #expect(try Script(inputs: [empty, empty], times: [10, 12]).run().code == .interrupted)
    #expect(try Script(inputs: [empty, empty], times: [10, 12.1]).run().code == .success)
    #expect(
      try Script(inputs: [empty, .line("/stats"), empty], times: [10, 10.1]).run().code == .success)
    let thrown = LineInput.interrupted(hadText: true)
    #expect(try Script(inputs: [thrown, thrown, thrown]).run().code == .success)
    #expect(try Script(inputs: [.terminated]).run().code == .terminated)
    #expect(try Script(inputs: [empty]).run().err.contains("Ctrl-C again within 2 seconds"))
  }

  @Test("an interrupted answer keeps its text")
  func anInterruptedAnswerKeepsItsText() throws {
    // The prompt takes a few questions; by the twelfth some tokens are written.
    let some = try Script(
      inputs: [.line("hello")], format: try Script.templated(), cancelAt: 12
    ).run()
    #expect(some.conversation.turns.count == 2)
    #expect(some.conversation.turns.last?.content.isEmpty == false)
    #expect(some.out.hasPrefix(some.conversation.turns.last?.content ?? "?"))
    #expect(some.err.contains("stopped; what was written stays"))
    let none = try Script(
      inputs: [.line("hello")], format: try Script.templated(), cancelAt: 0
    ).run()
    #expect(none.conversation.turns.isEmpty)
    #expect(none.err.contains("stopped before the answer began"))
  }

  @Test("a message that does not fit is taken back")
  func aMessageThatDoesNotFitIsTakenBack() throws {
    let result = try Script(
      inputs: [.line(String(repeating: "long ", count: 100)), .line("hi")],
      format: try Script.templated(), contextLength: 50
    ).run()
    #expect(result.err.contains("the context holds 50; shorten the message"))
    #expect(result.conversation.turns.first?.content == "hi")
  }

  @Test("without a template the text is continued")
  func withoutATemplateTextIsContinued() throws {
    let result = try Script(
      inputs: [.line(""), .line("Once upon"), .line(""), .line("/system x")]
    ).run()
    #expect(result.conversation.turns.map(\.role) == [.user, .assistant, .user, .assistant])
    #expect(result.conversation.turns[2].content == "")
    #expect(result.err.contains("a system text needs a chat template"))
    // The text goes on where it stopped: all of it is one text to the model.
    let whole = result.conversation.turns.map(\.content).joined()
    #expect(whole.hasPrefix("Once upon"))
  }
}
