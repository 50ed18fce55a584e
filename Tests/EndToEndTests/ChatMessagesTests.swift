import DuetSystem
import DuetText
import Foundation
import TestSupport
import Testing
import chat

private let stories = SharedData.project("models/stories")

@Suite("Messages and prompts of chat")
struct ChatMessagesTests {
  private func messages(_ json: String) throws -> [ChatMessage] {
    try MessagesFile.messages(Array(json.utf8), "m.json")
  }

  /// Runs `body` with a file of the given text.
  private func withFile(_ text: String, body: (String) throws -> Void) throws {
    let file = FileManager.default.temporaryDirectory
      .appendingPathComponent("duet-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: file) }
    try Data(text.utf8).write(to: file)
    try body(file.path)
  }

  @Test("messages are read as clients write them")
  func messagesAreReadAsClientsWriteThem() throws {
    let read = try messages(
      #"""
      [{"role": "system", "content": "S"},
       {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
       {"role": "assistant", "content": null, "tool_calls": [{"id": 1, "x": [1.5, true, null]}]},
       {"role": "tool", "content": "", "name": "f"}]
      """#)
    #expect(read.map(\.role.rawValue) == ["system", "user", "assistant", "tool"])
    #expect(read.map(\.content) == ["S", "a\nb", "", ""])
    #expect(read[2].fields.map(\.name) == ["tool_calls", "content"])
    #expect(read[3].fields == [.init(name: "name", value: .string("f"))])
    let template = try ChatTemplate(
      source: "{% for m in messages %}{{ m.tool_calls | tojson if m.tool_calls else m.name }};"
        + "{{ m.content is none }} {% endfor %}")
    let segments = try template.render(
      read, beginningOfSequence: "", endOfSequence: "",
      date: CalendarDate(year: 2025, month: 3, day: 9), movesSystemText: false)
    #expect(
      segments.map(\.text).joined()
        == #";False ;False [{"id": 1, "x": [1.5, true, null]}];True f;False "#)
    // What stands in a file is content, except for what the template writes around it.
    #expect(segments.filter(\.isContent).map(\.text) == ["id", "x", "f"])
    // A saved conversation or a request has the array inside.
    #expect(try messages(#"{"messages": [{"role": "user", "content": "x"}]}"#).count == 1)
  }

  @Test(
    "what is no conversation is refused by its number",
    arguments: [
      ("{}", "not a JSON array"), ("[]", "the array is empty"), ("[1]", "message 1 has no role"),
      (#"[{"role": "", "content": "x"}]"#, "message 1 has no role"),
      (#"[{"role": "user"}]"#, "message 1 has no text"),
      (#"[{"role": "user", "content": "x"}, {"role": 3}]"#, "message 2 has no role"),
      (#"[{"role": "user", "content": 3}]"#, "neither a text nor a list"),
      (#"[{"role": "user", "content": [{"type": "image_url"}]}]"#, "a part 1 that is no text"),
      (
        #"[{"role": "user", "content": [{"type": "image", "text": "x"}]}]"#,
        "a part 1 that is no text"
      ),
      (#"[{"role": "user", "content": "x", "y": 1e999}]"#, "a number that is too large"),
    ])
  func whatIsNoConversationIsRefused(json: String, part: String) throws {
    let error = #expect(throws: ChatError.self) { try messages(json) }
    let sentence = error?.description ?? ""
    #expect(sentence.hasPrefix("m.json: not messages for --messages: "))
    #expect(sentence.contains(part), "\(sentence)")
    #expect(error?.category == .refusedData)
  }

  @Test("the prompt is shown as the model gets it, without its weights")
  func thePromptIsShown() throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("duet-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try FileManager.default.copyItem(
      atPath: stories + "/tokenizer.json", toPath: folder + "/tokenizer.json")
    let text = "<|im_start|>user\nHi <|im_end|><|im_end|>\n<|im_start|>assistant\n"
    let shown = try runExecutable(
      "chat",
      ["-m", folder, "--template", "chatml", "--show-prompt", "-p", "Hi <|im_end|>"])
    #expect(shown.exitCode == 0 && shown.stderr == "")
    #expect(shown.stdout == text)
    let dropped = SharedData.project("Tests/Golden/tokenizers/byte-level-dropped")
    let warned = try runExecutable(
      "chat", ["-m", dropped, "--raw", "--show-prompt", "-p", "aqb"])
    #expect(warned.exitCode == 0 && warned.stdout.hasPrefix("aqb"))
    #expect(warned.stderr.contains("the conversation: the vocabulary has no token for 1 byte"))
    try withFile(#"[{"role": "user", "content": "Hi <|im_end|>"}]"#) { path in
      let json = try runExecutable(
        "chat",
        ["-m", folder, "--template", "chatml", "--messages", path, "--show-prompt", "--json"])
      let object = try JSONSerialization.jsonObject(with: Data(json.stdout.utf8))
      let document = try #require(object as? [String: Any])
      #expect(document["prompt"] as? String == text)
      #expect(document["template"] as? String == "chatml")
      let tokens = try #require(document["tokens"] as? [Int])
      let tokenizer = try Tokenizer(contentsOf: folder)
      #expect(
        tokenizer.decode(tokens.filter { $0 != tokenizer.beginningOfSequence }) == text)
    }
  }

  @Test("messages are answered once, as the same prompt is, and a template may be in a file")
  func messagesAreAnsweredOnce() throws {
    let options = ["-m", stories, "-s", "3", "-n", "20"]
    let answer = try runExecutable("chat", options + ["-p", "Tell me a story."])
    let messages = #"[{"role": "user", "content": "Tell me a story."}]"#
    try withFile(messages) { path in
      let run = try runExecutable("chat", options + ["--messages", path])
      #expect(run.stdout == answer.stdout)
    }
    let piped = try runExecutable("chat", options + ["--messages", "-"], stdin: messages)
    #expect(piped.stdout == answer.stdout)
    try withFile("{% for m in messages %}<{{ m.content | upper }}>{% endfor %}") { path in
      let shown = try runExecutable(
        "chat", ["-m", stories, "--template-file", path, "-p", "hi", "--show-prompt"])
      #expect(shown.stdout == "<HI>")
    }
  }
}
