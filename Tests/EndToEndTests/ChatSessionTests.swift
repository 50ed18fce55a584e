import Foundation
import TestSupport
import Testing

/// `chat --session` and `--prompt-cache`, run on models/stories.
@Suite("Sessions of chat")
struct ChatSessionTests {
  private let model = SharedData.project("models/stories")
  private let folder: TemporaryFolder
  private var path: String { "\(folder.path)/session" }
  private let questions = [
    "Tell me a story about a fox named Max who finds a red kite.", "What does Max do next?",
    "How does the story end?",
  ]

  init() throws { folder = try TemporaryFolder() }

  private func chat(_ options: [String]) throws -> [String: Any] {
    let result = try runExecutable(
      "chat", ["-m", model, "-s", "3", "-n", "30", "--json"] + options)
    #expect(result.exitCode == 0, "\(result.stdout) \(result.stderr)")
    return try #require(
      try JSONSerialization.jsonObject(with: result.outputBytes) as? [String: Any])
  }

  private func prompt(_ document: [String: Any], _ name: String) throws -> Int {
    try #require((document["prompt"] as? [String: Any])?[name] as? Int)
  }

  @Test("a conversation of three runs is that of one, and nothing is evaluated twice")
  func continuesAConversation() throws {
    var messages: [[String: String]] = []
    for (number, question) in questions.enumerated() {
      let document = try chat(["--session", path, "-p", question])
      // The same conversation as messages, in a run of its own.
      messages.append(["role": "user", "content": question])
      try folder.write(
        "messages.json", Array(try JSONSerialization.data(withJSONObject: messages)))
      let whole = try chat(["--messages", "\(folder.path)/messages.json"])
      #expect(document["text"] as? String == whole["text"] as? String, "question \(number)")
      #expect(try prompt(document, "tokens") == prompt(whole, "tokens"))
      #expect(try prompt(whole, "evaluated") == prompt(whole, "tokens"))
      if number > 0 {
        // Only the new question, and what the template writes around it.
        #expect(try prompt(document, "evaluated") < prompt(whole, "tokens") - 30)
      }
      messages.append(["role": "assistant", "content": try #require(document["text"] as? String)])
    }
  }

  @Test("an evaluated prompt serves other prompts that begin alike, and is never changed")
  func promptCache() throws {
    let system = ["--system", "You tell short stories about animals and answer with kind words."]
    let first = try chat(system + ["--prompt-cache", path, "-p", questions[0]])
    #expect(try prompt(first, "evaluated") == prompt(first, "tokens"))
    let written = try folder.read("session")
    let again = try chat(system + ["--prompt-cache", path, "-p", questions[0]])
    #expect(try prompt(again, "evaluated") == 1)
    let other = try chat(system + ["--prompt-cache", path, "-p", questions[2]])
    let alone = try chat(system + ["-p", questions[2]])
    #expect(other["text"] as? String == alone["text"] as? String)
    #expect(try prompt(other, "evaluated") < prompt(alone, "evaluated") - 10)
    let nothing = try chat(["--raw", "--prompt-cache", path, "-p", "Once upon a time"])
    #expect(
      nothing["text"] as? String == (try chat(["--raw", "-p", "Once upon a time"]))["text"]
        as? String)
    #expect(try folder.read("session") == written)
  }

  @Test("files that do not fit are refused before anything is computed, and stay")
  func refusals() throws {
    _ = try chat(["--session", path, "-p", questions[0]])
    let written = try folder.read("session")
    func refuse(_ options: [String], code: Int32, _ part: String) throws {
      let result = try runExecutable("chat", ["-m", model, "-n", "3"] + options)
      #expect(result.exitCode == code, "\(result.stderr)")
      #expect(result.stdout.isEmpty)
      #expect(result.stderr.contains(part), "\(result.stderr)")
      #expect(result.stderr.split(separator: "\n").count == 1)
    }
    let session = ["--session", path, "-p", "x"]
    try refuse(session + ["--kv-cache", "int8"], code: 3, "another model")
    try refuse(session + ["--activations", "f32"], code: 3, "another model")
    try refuse(session + ["-c", "10"], code: 2, "use a larger --context")
    try refuse(session + ["--prompt-cache", path], code: 2, "leave out --prompt-cache")
    try refuse(["--session", path, "--messages", path], code: 2, "give one of them")
    try refuse(session + ["--show-prompt"], code: 2, "does not run the model")
    #expect(try folder.read("session") == written)

    let nowhere = "\(folder.path)/none/session"
    try refuse(["--session", nowhere, "-p", "x"], code: 4, "none/session")
    try refuse(["--prompt-cache", nowhere, "-p", "x"], code: 4, "none/session")

    try folder.write("session", "a file of something else")
    try refuse(session, code: 3, "is not a session")
    #expect(try folder.read("session") == Array("a file of something else".utf8))
    try folder.write("session", Array(written.dropLast()))
    try refuse(["--prompt-cache", path, "-p", "x"], code: 3, "incomplete or damaged")
  }
}
