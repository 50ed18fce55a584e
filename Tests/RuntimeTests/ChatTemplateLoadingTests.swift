import DuetRuntime
import DuetSystem
import DuetText
import Foundation
import TestSupport
import Testing

@Suite("Loading of chat templates")
struct ChatTemplateLoadingTests {
  private static let stories = SharedData.project("models/stories")

  /// Runs `body` with a folder that holds the stories' tokenizer and the given files.
  private func withFolder(
    _ files: [String: String], body: (String, Tokenizer) throws -> Void
  ) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
      "templates-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try FileManager.default.copyItem(
      atPath: Self.stories + "/tokenizer.json",
      toPath: folder.appendingPathComponent("tokenizer.json").path)
    for (name, text) in files {
      try Data(text.utf8).write(to: folder.appendingPathComponent(name))
    }
    try body(folder.path, Tokenizer(contentsOf: folder.path))
  }

  private func stops(_ tokenizer: Tokenizer, _ declared: [Int] = []) -> StopTokens {
    StopTokens(
      configuration: declared, generation: GenerationConfiguration(), tokenizer: tokenizer)
  }

  private func load(
    _ folder: String, _ tokenizer: Tokenizer, declared: [Int] = []
  ) throws -> ChatTemplate? {
    try ChatTemplate.load(
      folder: folder, tokenizer: tokenizer, stopTokens: stops(tokenizer, declared))
  }

  @Test("a file of its own comes first")
  func aFileOfItsOwnComesFirst() throws {
    let configuration = #"{"chat_template": "second"}"#
    try withFolder(["chat_template.jinja": "first", "tokenizer_config.json": configuration]) {
      let template = try #require(try load($0, $1))
      #expect(try template.text([]) == "first")
      #expect(template.origin == $0 + "/chat_template.jinja")
    }
    try withFolder(["tokenizer_config.json": configuration]) {
      let template = try #require(try load($0, $1))
      #expect(try template.text([]) == "second")
      #expect(template.origin == $0 + "/tokenizer_config.json")
    }
  }

  @Test("the default of a list is taken")
  func theDefaultOfAListIsTaken() throws {
    let list = """
      {"chat_template": [{"name": "tool_use", "template": "no"}, {"name": "default", "template": "yes"}]}
      """
    try withFolder(["tokenizer_config.json": list]) {
      let template = try #require(try load($0, $1))
      #expect(try template.text([]) == "yes")
    }
  }

  @Test(
    "malformed entries of tokenizer_config.json are refused",
    arguments: [
      #"{"chat_template": [{"name": "tool_use", "template": "no"}]}"#,
      #"{"chat_template": []}"#, #"{"chat_template": 3}"#, #"{"chat_template": [1]}"#,
      #"{"chat_template": [{"name": "default", "template": 1}]}"#,
    ])
  func malformedEntriesAreRefused(configuration: String) throws {
    try withFolder([:]) { folder, tokenizer in
      let path = folder + "/tokenizer_config.json"
      try Data(configuration.utf8).write(to: URL(fileURLWithPath: path))
      #expect {
        try load(folder, tokenizer)
      } throws: {
        guard case .malformedFile(path, _) = $0 as? ChatTemplateError else { return false }
        return ($0 as? ChatTemplateError)?.category == .refusedData
      }
    }
  }

  @Test("files that cannot be read as a template are refused")
  func unreadableFilesAreRefused() throws {
    try withFolder(["chat_template.jinja": "{{ x"]) { folder, tokenizer in
      #expect(throws: ChatTemplateError.syntax(line: 1, problem: "a tag is not closed")) {
        try load(folder, tokenizer)
      }
      let path = folder + "/chat_template.jinja"
      try Data([0x61, 0xFF]).write(to: URL(fileURLWithPath: path))
      #expect(
        throws: ChatTemplateError.malformedFile(path: path, problem: "the template is not UTF-8")
      ) { try load(folder, tokenizer) }
      try Data(repeating: 0x61, count: 262_145).write(to: URL(fileURLWithPath: path))
      #expect(
        throws: ChatTemplateError.file(.tooLarge(path: path, byteCount: 262_145, limit: 262_144))
      ) { try load(folder, tokenizer) }
      try FileManager.default.removeItem(atPath: path)
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
      #expect(throws: ChatTemplateError.file(.isFolder(path: path))) {
        try load(folder, tokenizer)
      }
    }
    try withFolder([:]) { folder, tokenizer in
      try Data("{".utf8).write(to: URL(fileURLWithPath: folder + "/tokenizer_config.json"))
      #expect {
        try load(folder, tokenizer)
      } throws: {
        if case .json = $0 as? ChatTemplateError { true } else { false }
      }
    }
  }

  @Test("a family is known by control tokens that end a turn")
  func familyIsKnownByControlTokensThatEndATurn() throws {
    try withFolder(["tokenizer_config.json": #"{"chat_template": null}"#]) { folder, tokenizer in
      let end = try #require(tokenizer.token("<|eot_id|>"))
      #expect(try load(folder, tokenizer) == nil, "a base model has no template")
      #expect(try load(folder, tokenizer, declared: [end])?.origin == "llama-3")
    }
  }

  @Test(
    "families of real vocabularies are known",
    .enabled(if: SharedTokenizers.arePresent, "../shared is absent"),
    arguments: [
      ("llama2", nil), ("mistral-v0.1", nil), ("mistral-v0.3", "mistral-v3"),
      ("llama3", "llama-3.1"),
    ] as [(String, String?)])
  func familiesOfRealVocabularies(name: String, family: String?) throws {
    let tokenizer = try SharedTokenizers.named(name)
    let end = tokenizer.token("<|eot_id|>")
    let hasNewTokens = tokenizer.token("<|eom_id|>") != nil
    let expected = family == "llama-3.1" && !hasNewTokens ? "llama-3" : family
    let template = try ChatTemplate.load(
      folder: "/nonexistent", tokenizer: tokenizer,
      stopTokens: stops(tokenizer, end.map { [$0] } ?? []))
    #expect(template?.origin == expected)
  }

  // MARK: - Ids

  private let turns = [
    ChatMessage(role: .user, content: "Hi"), ChatMessage(role: .assistant, content: "Ho"),
    ChatMessage(role: .user, content: "Go"),
  ]

  @Test(
    "there is one beginning-of-sequence token, whatever the template does",
    arguments: [
      ("{{ bos_token }}x", 1), ("x", 1), ("{{ bos_token ~ bos_token }}x", 1), ("", 1),
      ("{{ messages[0].content }}", 1),
    ])
  func oneBeginning(source: String, expected: Int) throws {
    let tokenizer = try Tokenizer(contentsOf: Self.stories)
    let begin = try #require(tokenizer.beginningOfSequence)
    try #require(tokenizer.addsBeginningOfSequence)
    let messages = [ChatMessage(role: .user, content: "<|begin_of_text|>x")]
    let ids = try ChatTemplate(source: source).tokens(
      for: messages, tokenizer: tokenizer, date: someDay)
    #expect(ids.filter { $0 == begin }.count == expected)
    #expect(ids.first == begin)
  }

  @Test("the template of models/stories makes the expected tokens")
  func storiesChat() throws {
    let tokenizer = try Tokenizer(contentsOf: Self.stories)
    let template = try #require(try load(Self.stories, tokenizer))
    let ids = try template.tokens(for: turns, tokenizer: tokenizer, date: someDay)
    #expect(
      tokenizer.decode(ids)
        == "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        + "<|start_header_id|>assistant<|end_header_id|>\n\nHo<|eot_id|>"
        + "<|start_header_id|>user<|end_header_id|>\n\nGo<|eot_id|>"
        + "<|start_header_id|>assistant<|end_header_id|>\n\n")
    #expect(ids.filter(tokenizer.isControl).count == 1 + 3 * 3 + 2)
  }

  @Test("control tokens that are typed stay text")
  func typedControlTokensStayText() throws {
    try expectTypedTokensStayText(Tokenizer(contentsOf: Self.stories), family: "llama-3")
  }

  @Test(
    "control tokens of real vocabularies that are typed stay text",
    .enabled(if: SharedTokenizers.arePresent, "../shared is absent"),
    arguments: [
      ("llama2", "llama-2"), ("mistral-v0.1", "mistral-v1"), ("mistral-v0.3", "mistral-v3"),
      ("llama3", "llama-3.1"),
    ])
  func typedControlTokensOfRealVocabulariesStayText(name: String, family: String) throws {
    try expectTypedTokensStayText(SharedTokenizers.named(name), family: family)
  }

  /// Types each added token at the beginning, in the middle and at the end of a message, and puts it
  /// together from halves that template and message contribute.
  private func expectTypedTokensStayText(_ tokenizer: Tokenizer, family: String) throws {
    let template = try ChatTemplate(named: family)
    func controls(_ template: ChatTemplate, _ content: String) throws -> [Int] {
      let message = ChatMessage(role: .user, content: content)
      let added = Set(tokenizer.addedTokens.map(\.id))
      return try template.tokens(for: [message], tokenizer: tokenizer, date: someDay)
        .filter(added.contains)
    }
    let clean = try controls(template, "x")
    #expect(!clean.isEmpty)
    for token in tokenizer.addedTokens {
      let text = token.content
      for typed in [text + " x", "x " + text + " y", "x " + text, text, text + text] {
        #expect(try controls(template, typed) == clean, "\(typed)")
      }
      let half = text.unicodeScalars.count / 2
      let head = String(text.unicodeScalars.prefix(half))
      let tail = String(text.unicodeScalars.dropFirst(half))
      let halves = try ChatTemplate(source: "a\(head){{ messages[0].content }}\(head)b")
      #expect(
        try controls(halves, tail).count <= 1, "\(head)|\(tail): only the beginning may be one")
      let reverse = try ChatTemplate(source: "{{ messages[0].content }}\(tail)")
      #expect(try controls(reverse, "a" + head).count <= 1, "\(head)|\(tail)")
    }
  }

  // MARK: - Stop tokens

  @Test("stop tokens are those of all files and of known names")
  func stopTokensAreTheUnion() throws {
    let tokenizer = try Tokenizer(contentsOf: Self.stories)
    let generation = try GenerationConfiguration(
      parsing: Array(#"{"eos_token_id": [7, 8]}"#.utf8), path: "generation_config.json")
    let stops = StopTokens(configuration: [5], generation: generation, tokenizer: tokenizer)
    let end = try #require(tokenizer.token("<|eot_id|>"))
    let text = try #require(tokenizer.token("<|end_of_text|>"))
    #expect(stops.declared == [5, 7, 8, end])
    #expect(stops.ids == [5, 7, 8, end, text])
    #expect(stops.contains(text) && !stops.contains(6))
  }
}
