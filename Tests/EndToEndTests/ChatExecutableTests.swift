import DuetCommandLine
import Foundation
import TestSupport
import Testing

private let stories = SharedData.project("models/stories")

private func object(_ text: String) throws -> [String: Any] {
  try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
}

@Suite("Runs of chat")
struct ChatExecutableTests {
  private let fox = "Tell me a story about a fox named Max who finds a red kite."

  @Test("a prompt is answered once, and the same seed gives the same text")
  func aPromptIsAnsweredOnce() throws {
    let first = try runExecutable(
      "chat", ["-m", stories, "-p", fox, "-s", "3", "-n", "60", "--stats"])
    #expect(first.exitCode == 0)
    #expect(first.stdout.hasSuffix("\n") && first.stdout.utf8.count > 50)
    #expect(first.stderr.contains(" · stop: max-tokens · seed 3\n"))
    // The same seed gives the same text, at any number of threads; a pipe is as good as -p.
    let second = try runExecutable(
      "chat", ["--model=\(stories)", "-p", "-", "--seed=3", "-n=60", "-t", "1"],
      stdin: fox + "\n")
    #expect(second.stdout == first.stdout)
    #expect(second.stderr == "")
    let third = try runExecutable("chat", ["-m", stories, "-s", "3", "-n", "60"], stdin: fox)
    #expect(third.stdout == first.stdout)
  }

  @Test("with --json the output is one JSON document")
  func jsonIsOneDocument() throws {
    let run = try runExecutable(
      "chat", ["-m", stories, "-p", fox, "-s", "3", "-n", "20", "--json"])
    #expect(run.exitCode == 0 && run.stderr == "")
    let document = try object(run.stdout)
    let plain = try runExecutable("chat", ["-m", stories, "-p", fox, "-s", "3", "-n", "20"])
    #expect((document["text"] as? String).map { $0 + "\n" } == plain.stdout)
    #expect(document["stop"] as? String == "max-tokens")
    #expect(document["seed"] as? Int == 3)
    #expect((document["generated"] as? [String: Any])?["tokens"] as? Int == 20)
    let prompt = try #require(document["prompt"] as? [String: Any])
    #expect(prompt["tokens"] as? Int == prompt["evaluated"] as? Int)
    #expect((document["context"] as? [String: Any])?["length"] as? Int == 1024)
  }

  @Test("plain text is continued")
  func plainTextIsContinued() throws {
    let run = try runExecutable(
      "chat",
      ["-m", stories, "--raw", "-p", "Once upon a", "--temperature", "0", "-n", "5", "--json"])
    let document = try object(run.stdout)
    #expect((document["text"] as? String)?.hasPrefix(" time") == true)
    #expect(document["template"] as? String == "none")
  }

  @Test("the context is never full without a word")
  func theContextIsNeverSilentlyFull() throws {
    let arguments = ["-m", stories, "--raw", "-p", "Once upon a time", "-c", "30", "-s", "1"]
    let run = try runExecutable("chat", arguments + ["--json"])
    #expect(run.exitCode == 0)
    #expect(run.stderr.contains("chat: warning: the context of 30 tokens is full"))
    #expect(try object(run.stdout)["stop"] as? String == "context")
    let long = try runExecutable(
      "chat", ["-m", stories, "-p", String(repeating: "word ", count: 50), "-c", "30"])
    #expect(long.exitCode == 2)
    #expect(long.stderr.contains("the context holds 30"))
    #expect(long.stdout == "")
  }

  private static let mistakes: [(arguments: [String], code: Int32, part: String)] = [
    (["-p", "x"], 2, "--model DIR is required"),
    (["-m", "/nonexistent", "-p", "x"], 4, "/nonexistent"),
    (["-m", stories, "-p", "x", "--modle", "y"], 2, "did you mean '--model'?"),
    (["-m", stories, "-p", "x", "-c", "0"], 2, "-c: '0' is not an integer from 1 to"),
    (["-m", stories, "-p", "x", "--template", "llama"], 2, "is not one of auto, llama-2"),
    (["-m", stories, "-p", "x", "--raw", "--system", "y"], 2, "--system needs a chat template"),
    (["-m", stories, "-p", "x", "--raw", "--template", "llama-3"], 2, "--raw means"),
    (["-m", stories, "-p", "x", "y"], 2, "unexpected argument 'y'"),
    (["-m", stories, "-p", "x", "--messages", "y"], 2, "--messages has the whole conversation"),
    (["-m", stories, "--system", "x", "--messages", "y"], 2, "--messages has the whole"),
    (["-m", stories, "--raw", "--messages", "y"], 2, "--messages needs a chat template"),
    (["-m", stories, "-p", "x", "--raw", "--template-file", "y"], 2, "give one of them"),
    (["-m", stories, "-p", "x", "--template=zephyr", "--template-file", "y"], 2, "give one"),
    (["-m", stories, "-p", "x", "--template-file", "/nonexistent"], 4, "/nonexistent"),
    (["-m", stories, "--messages", "/nonexistent"], 4, "/nonexistent"),
    (["-m", stories, "--messages", stories + "/README.md"], 3, "README.md: not valid JSON"),
    (["-m", stories, "--messages", stories + "/config.json"], 3, "it is not a JSON array"),
    (["-m", SharedData.project("Sources"), "-p", "x"], 4, "config.json"),
  ]

  @Test("mistakes end in one sentence and an exit code", arguments: Self.mistakes)
  func mistakesEndInOneSentence(arguments: [String], code: Int32, part: String) throws {
    let run = try runExecutable("chat", arguments)
    #expect(run.exitCode == code)
    #expect(run.stdout == "")
    #expect(run.stderr.hasPrefix("chat: ") && run.stderr.contains(part))
    #expect(run.stderr.filter { $0 == "\n" }.count == 1)
    // The same as a document; --json must not be taken for a value.
    let json = try runExecutable("chat", ["--json"] + arguments)
    #expect(json.exitCode == code && json.stderr == "")
    let error = try #require(try object(json.stdout)["error"] as? [String: Any])
    #expect(error["code"] as? Int == Int(code))
    #expect((error["message"] as? String)?.contains(part) == true)
  }

  @Test("text that is not UTF-8 is refused with its place")
  func textThatIsNotUTF8IsRefusedWithItsPlace() throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("duet-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try Data([0x61, 0x62, 0xFF]).write(to: folder)
    let child = try ChildProcess(
      path: try executablePath("chat"), arguments: ["-m", stories],
      descriptors: [
        .open(0, folder.path, O_RDONLY), .open(1, "/dev/null", O_WRONLY),
        .open(2, folder.path + ".err", O_WRONLY | O_CREAT),
      ])
    #expect(child.wait(timeLimit: 60).exitCode == 3)
    let error = try String(contentsOfFile: folder.path + ".err", encoding: .utf8)
    try FileManager.default.removeItem(atPath: folder.path + ".err")
    #expect(error == "chat: standard input is not UTF-8 at byte 2\n")
  }

  @Test("output that cannot be written is an error")
  func outputThatCannotBeWrittenIsAnError() throws {
    func run(_ output: ChildProcess.Descriptor) throws -> (code: Int32, error: String) {
      let path = FileManager.default.temporaryDirectory
        .appendingPathComponent("duet-\(UUID().uuidString)").path
      defer { try? FileManager.default.removeItem(atPath: path) }
      let child = try ChildProcess(
        path: try executablePath("chat"), arguments: ["-m", stories, "-p", fox, "-n", "30"],
        descriptors: [
          .open(0, "/dev/null", O_RDONLY), output, .open(2, path, O_WRONLY | O_CREAT),
        ])
      let code = child.wait(timeLimit: 60).exitCode
      return (code, try String(contentsOfFile: path, encoding: .utf8))
    }
    let full = try run(.open(1, "/dev/full", O_WRONLY))
    #expect(full.code == 4)
    #expect(full.error.hasPrefix("chat: cannot write to standard output: "))
    // Closed altogether, and a pipe that nobody reads.
    #expect(try run(.closed(1)).code == 4)
    var ends: [Int32] = [0, 0]
    #expect(unsafe pipe(&ends) == 0)
    close(ends[0])
    defer { close(ends[1]) }
    let broken = try run(.duplicate(1, from: ends[1]))
    #expect(broken.code == 141 && broken.error == "")
  }

  private static let signals: [(signal: Int32, code: Int32)] = [(SIGINT, 130), (SIGTERM, 143)]

  @Test("a signal stops the answer", arguments: Self.signals)
  func aSignalStopsTheAnswer(signal: Int32, code: Int32) throws {
    let path = FileManager.default.temporaryDirectory
      .appendingPathComponent("duet-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    let child = try ChildProcess(
      path: try executablePath("chat"),
      arguments: ["-m", stories, "-p", "Once"] + endless,
      descriptors: [
        .open(0, "/dev/null", O_RDONLY), .open(1, path, O_WRONLY | O_CREAT),
        .open(2, "/dev/null", O_WRONLY),
      ])
    // As soon as some text is there the answer is under way.
    let deadline = Date().addingTimeInterval(60)
    while (try? Data(contentsOf: URL(fileURLWithPath: path)))?.isEmpty != false, Date() < deadline {
      usleep(1000)
    }
    child.signal(signal)
    #expect(child.wait(timeLimit: 60).exitCode == code)
  }
}
