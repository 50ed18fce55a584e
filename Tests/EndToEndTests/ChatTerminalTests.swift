import DuetCommandLine
import DuetRuntime
import DuetText
import Foundation
import TestSupport
import Testing
import chat

private let stories = SharedData.project("models/stories")
private let paste = (begin: "\u{1B}[200~", end: "\u{1B}[201~")

/// Options for an answer that fills the context of 1024 tokens, 10 seconds or so, whatever comes: at
/// this temperature the tokens that end a text are as rare as any others.
let endless = [
  "--raw", "-s", "1", "--temperature", "50", "--top-k", "0", "--top-p", "1", "--min-p", "0", "-n",
  "100000",
]

@Suite("Chat in a terminal", .serialized)
struct ChatTerminalTests {
  /// A chat on a terminal that has shown its prompt.
  private func start(
    _ arguments: [String] = [], environment: [String: String] = [:]
  ) throws -> (terminal: Pseudoterminal, child: ChildProcess, before: [UInt32]) {
    let terminal = try Pseudoterminal()
    let before = terminal.settings
    let child = try terminal.start(
      "chat", ["-m", stories] + arguments, environment: environment)
    #expect(terminal.wait(for: "> "))
    #expect(terminal.settings != before, "the terminal should be in our hands")
    return (terminal, child, before)
  }

  private func end(_ child: ChildProcess, _ terminal: Pseudoterminal) -> Int32 {
    var code: Int32?
    _ = terminal.wait {
      code = child.poll()
      return code != nil
    }
    return code ?? child.wait(timeLimit: 1).exitCode
  }

  private static let farewells: [(keys: String, code: Int32)] = [
    ("/exit\r", 0), ("\u{4}", 0), ("abc\u{15}\u{4}", 0), ("\u{3}\u{3}", 130),
    ("abc\u{3}\u{3}\u{3}", 130),
  ]

  @Test("leaving gives the terminal back", arguments: Self.farewells)
  func leavingGivesTheTerminalBack(keys: String, code: Int32) throws {
    let (terminal, child, before) = try start()
    terminal.type(keys)
    #expect(end(child, terminal) == code)
    #expect(terminal.settings == before)
    #expect(terminal.text.contains("\u{1B}[?2004l"))
  }

  private static let signals: [(signal: Int32, code: Int32)] = [
    (SIGINT, 130), (SIGTERM, 143), (SIGHUP, 128 + SIGHUP), (SIGQUIT, 128 + SIGQUIT),
    (SIGSEGV, 128 + SIGSEGV), (SIGABRT, 128 + SIGABRT), (SIGILL, 128 + SIGILL),
    (SIGBUS, 128 + SIGBUS), (SIGUSR1, 128 + SIGUSR1), (SIGXCPU, 128 + SIGXCPU),
  ]

  @Test("every deadly signal gives the terminal back", arguments: Self.signals)
  func everyDeadlySignalGivesTheTerminalBack(signal: Int32, code: Int32) throws {
    // No backtrace of the toolchain: it takes seconds, and the terminal is what is looked at.
    let (terminal, child, before) = try start(environment: ["SWIFT_BACKTRACE": "enable=no"])
    child.signal(signal)
    if signal == SIGINT {
      // At the prompt the signal is as Ctrl-C: a hint, then the end.
      #expect(terminal.wait(for: "Ctrl-C again"))
      child.signal(signal)
    }
    #expect(end(child, terminal) == code)
    #expect(terminal.settings == before)
  }

  /// The toolchain's handler of crashes prints a backtrace and returns; a signal that was sent does not
  /// come again then.
  @Test(
    "a signal that was sent ends the process after the backtrace",
    .disabled(
      if: Sanitizer.isActive,
      "the toolchain's handler reads whole stacks, which a sanitizer reports")
  )
  func aSentSignalEndsTheProcessAfterTheBacktrace() throws {
    let (terminal, child, before) = try start(environment: ["SWIFT_BACKTRACE": "interactive=no"])
    child.signal(SIGABRT)
    #expect(end(child, terminal) == 128 + SIGABRT)
    #expect(terminal.settings == before)
  }

  @Test("SIGTERM during an answer gives the terminal back")
  func sigtermWhileAnsweringGivesTheTerminalBack() throws {
    let (terminal, child, before) = try start(endless)
    terminal.type("Once upon a time\r")
    #expect(terminal.wait { terminal.text.count > 300 })
    child.signal(SIGTERM)
    #expect(end(child, terminal) == 143)
    #expect(terminal.settings == before)
  }

  @Test("Ctrl-C stops the answer and keeps it")
  func controlCStopsTheAnswerAndKeepsIt() throws {
    let path = FileManager.default.temporaryDirectory
      .appendingPathComponent("duet-\(UUID().uuidString).json").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    let (terminal, child, before) = try start(endless)
    terminal.type("Once upon a time\r")
    #expect(terminal.wait { terminal.text.count > 400 })
    terminal.type("\u{3}")
    #expect(terminal.wait(for: "stopped; what was written stays"))
    terminal.type("/save \(path)\r")
    #expect(terminal.wait(for: "messages written to"))
    let saved = try ConversationFile.load(path)
    #expect(saved.turns.map(\.role) == [.user, .assistant])
    #expect((saved.turns.last?.content.count ?? 0) > 100)
    terminal.type("/exit\r")
    #expect(end(child, terminal) == 0)
    #expect(terminal.settings == before)
  }

  @Test("lines are edited and pasted")
  func linesAreEditedAndPasted() throws {
    let (terminal, child, _) = try start()
    terminal.type("/system 東京\u{1B}[D\u{7F}é\u{1}\u{5}!\r/system\r")
    #expect(terminal.wait(for: "system: é京!"))
    terminal.type("\u{1B}[A\u{1B}[A !\r/system\r")
    #expect(terminal.wait(for: "system: é京! !"))
    // A pasted line break does not send; nor does it make what follows a command.
    terminal.type("\(paste.begin)/system two\n/exit\(paste.end)")
    #expect(terminal.wait(for: "/exit"))
    terminal.type("\u{3}/system\r")
    #expect(terminal.wait { terminal.text.components(separatedBy: "system: é京! !").count > 2 })
    terminal.resize(columns: 40, rows: 10)
    terminal.type("/system \(String(repeating: "x", count: 100))y\r/system\r")
    #expect(terminal.wait(for: "system: \(String(repeating: "x", count: 100))y"))
    terminal.type("\u{4}")
    #expect(end(child, terminal) == 0)
  }

  @Test("a terminal without cursor movement edits its lines itself")
  func aTerminalWithoutCursorMovementEditsItsLinesItself() throws {
    let terminal = try Pseudoterminal()
    let before = terminal.settings
    let child = try terminal.start(
      "chat", ["-m", stories, "--raw"], environment: ["TERM": "dumb"])
    #expect(terminal.wait(for: "> "))
    #expect(terminal.settings == before)
    terminal.type("/stats\n/sta\u{7F}\u{7F}\u{7F}help\n")
    #expect(terminal.wait(for: "(no answer yet)"))
    #expect(terminal.wait(for: "/regen "))
    terminal.type("\u{3}")
    #expect(terminal.wait(for: "Ctrl-C again"))
    terminal.type("\u{4}")
    #expect(end(child, terminal) == 0)
    #expect(!terminal.received.contains(0x1B))
  }

  /// Ctrl-Z and `fg` under a shell with job control, at the prompt and while an answer is written.
  ///
  /// The shell is dash, which reads lines without touching the terminal's settings, so those seen
  /// while it waits are the ones that chat left.
  @Test(
    "Ctrl-Z stops and fg goes on, at the prompt and during an answer",
    .enabled(if: FileManager.default.isExecutableFile(atPath: "/bin/dash")))
  func stoppingAndGoingOn() throws {
    let terminal = try Pseudoterminal()
    let shell = try ChildProcess(
      path: "/bin/dash", arguments: ["-i"], environment: ["PS1": "shell$ ", "TERM": "xterm"],
      descriptors: [0, 1, 2].map { .open($0, terminal.path, O_RDWR) }, ownSession: true)
    #expect(terminal.wait(for: "shell$ "))
    let before = terminal.settings
    let chat = try executablePath("chat")
    terminal.type("'\(chat)' -m '\(stories)' \(endless.joined(separator: " "))\n")
    #expect(terminal.wait(for: "[J> "))
    let editing = terminal.settings
    #expect(editing != before)

    terminal.forget()
    terminal.type("Once upon\u{1A}")
    #expect(terminal.wait(for: "shell$ "))
    #expect(terminal.settings == before)
    terminal.forget()
    terminal.type("fg\n")
    #expect(terminal.wait(for: "> Once upon"))
    #expect(terminal.settings == editing)

    terminal.forget()
    terminal.type(" a time\r")
    #expect(terminal.wait { terminal.text.count > 300 })
    terminal.type("\u{1A}")
    #expect(terminal.wait(for: "shell$ "))
    #expect(terminal.settings == before)
    terminal.forget()
    terminal.type("fg\n")
    #expect(terminal.wait { terminal.text.count > 300 })
    terminal.type("\u{3}")
    #expect(terminal.wait(for: "what was written stays"))
    #expect(terminal.wait(for: "> "))
    #expect(terminal.settings == editing)
    terminal.type("/exit\r")
    #expect(terminal.wait(for: "shell$ "))
    #expect(terminal.settings == before)
    terminal.type("exit\n")
    #expect(shell.wait(timeLimit: 30).exitCode == 0)
  }

  /// Streams of random tokens, among them every byte and every special token, as answers on a real
  /// terminal: no escape sequence and no other control character arrives.
  @Test("random answers cannot act on the terminal")
  func randomAnswersCannotActOnTheTerminal() throws {
    let terminal = try Pseudoterminal()
    let tokenizer = try Tokenizer(contentsOf: stories)
    let format = ChatFormat(template: nil, tokenizer: tokenizer)
    // The pieces of control bytes, which a random choice among 4096 would rarely meet.
    let dangerous = [UInt8](0...0x1F).flatMap { byte in
      tokenizer.encode(
        String(decoding: [byte], as: UTF8.self), addingSpecialTokens: false)
    }
    for seed in 0..<300 {
      let engine = RandomEngine(
        seed: UInt64(seed), dangerous: dangerous, tokenCount: tokenizer.vocabularySize)
      let output = StandardOutput(descriptor: terminal.processSide)
      let chat = Chat(
        Responder(
          engine, maximumCount: 40, policy: .stop, isStop: { _ in false }, encode: { _ in [0] },
          now: { 0 }),
        conversation: Conversation(), format: format, tokenizer: tokenizer,
        settings: AnswerSettings(sampling: SamplingOptions(seed: 0), maximumCount: 40),
        output: output, messages: Messages(name: "chat", level: .quiet))
      chat.conversation.append(.user, "x")
      terminal.forget()
      let text = try chat.answer(prints: true, isCancelled: { false }).text
      try output.write("\u{2}")
      try output.flush()
      #expect(terminal.wait { terminal.received.last == 2 })
      let arrived = terminal.text.unicodeScalars.dropLast()
      #expect(!arrived.contains { $0.value < 0x20 && $0 != "\n" && $0 != "\r" && $0 != "\t" })
      #expect(!arrived.contains { (0x7F...0x9F).contains($0.value) })
      // A carriage return comes from the terminal itself only, before a line feed.
      let all = Array(arrived)
      #expect(!all.indices.contains { all[$0] == "\r" && all[($0 + 1)...].first != "\n" })
      #expect(text.unicodeScalars.count > 0)
    }
  }
}

/// An engine that writes random tokens, every third of them a dangerous one.
private struct RandomEngine: SimpleEngine {
  private var generator: RandomGenerator
  private let dangerous: [Int]
  private let tokenCount: Int
  var position = 0
  var contextLength: Int { 1000 }

  init(seed: UInt64, dangerous: [Int], tokenCount: Int) {
    generator = RandomGenerator(seed: seed)
    self.dangerous = dangerous
    self.tokenCount = tokenCount
  }

  mutating func append(_ tokens: [Int], isCancelled: () -> Bool) throws(GenerationError) {
    position += tokens.count
  }

  mutating func truncate(to position: Int) { self.position = position }

  mutating func nextToken(history: [Int]) throws(GenerationError) -> Int {
    if Int.random(in: 0..<3, using: &generator) == 0 {
      return dangerous.randomElement(using: &generator) ?? 0
    }
    return Int.random(in: 0..<tokenCount, using: &generator)
  }
}
