import DuetSystem
import DuetText
import Foundation
import TestSupport
import Testing

@Suite("Runs of tokenize")
struct TokenizeTests {
  private let stories = SharedData.project("models/stories")

  @Test("ids are printed with their pieces")
  func printsIdsWithPieces() throws {
    let result = try runExecutable("tokenize", ["-m", stories, "-p", "the \"girl\"\n<|eot_id|>"])
    #expect(result.exitCode == 0)
    #expect(result.stderr == "")
    let lines = result.stdout.split(separator: "\n")
    #expect(lines.first == "4091  \"<|begin_of_text|>\"")
    #expect(lines.last == "4095  \"<|eot_id|>\"")
    let bare = try runExecutable("tokenize", ["-m", stories, "-p", " the", "--no-special"])
    #expect(bare.stdout.split(separator: "\n").count == 1)
    #expect(bare.stdout.hasSuffix("  \"Ġthe\"\n"))
  }

  @Test("with --json ids and pieces are a JSON document")
  func printsJSON() throws {
    let result = try runExecutable("tokenize", ["-m", stories, "-f", "-", "--json"], stdin: "a b")
    #expect(result.exitCode == 0)
    let object = try #require(
      JSONSerialization.jsonObject(with: result.outputBytes) as? [String: Any])
    let tokenizer = try Tokenizer(contentsOf: stories)
    #expect(object["ids"] as? [Int] == tokenizer.encode("a b"))
    #expect((object["pieces"] as? [String])?.first == "<|begin_of_text|>")
  }

  @Test("each line of a jsonl file is encoded and decoded")
  func comparesLines() throws {
    let input = "{\"text\": \"One day\"}\n\n{\"other\": 1, \"text\": \"\\u00e9\\n\"}\r\n"
    let result = try runExecutable("tokenize", ["-m", stories, "--jsonl", "-"], stdin: input)
    #expect(result.exitCode == 0)
    let lines = try result.stdout.split(separator: "\n").map {
      try #require(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
    let tokenizer = try Tokenizer(contentsOf: stories)
    #expect(lines.map { $0["ids"] as? [Int] } == ["One day", "é\n"].map { tokenizer.encode($0) })
    #expect(lines.map { $0["decoded"] as? String } == ["One day", "é\n"])
  }

  @Test(
    "missing and contradictory arguments are refused",
    arguments: [
      (["-p", "x"], 2, "--model"),
      (["-m", "models"], 2, "is required"),
      (["-m", "models", "-p", "x", "-f", "y"], 2, "only one"),
      (["-m", "/nowhere", "-p", "x"], 4, "no tokenizer.json or tokenizer.model"),
    ])
  func refusesArguments(arguments: [String], code: Int32, fragment: String) throws {
    let result = try runExecutable("tokenize", arguments)
    #expect(result.exitCode == code)
    #expect(result.stdout == "")
    #expect(result.stderr.contains(fragment))
    #expect(result.stderr.split(separator: "\n").count == 1)
  }

  /// A byte order mark, carriage returns and zeros are text like any other.
  @Test("a byte order mark, carriage returns and zeros are text")
  func keepsMarksCarriageReturnsAndZeros() throws {
    let text = "\u{FEFF}Hi\r\n\u{0}x\r"
    let folder = try TemporaryFolder()
    let path = try folder.write("text", text)
    let tokenizer = try Tokenizer(contentsOf: stories)
    for (source, input) in [("-", text), (path, "")] {
      let result = try runExecutable(
        "tokenize", ["-m", stories, "-f", source, "--json"], stdin: input)
      let object = try #require(
        JSONSerialization.jsonObject(with: result.outputBytes) as? [String: Any])
      let ids = try #require(object["ids"] as? [Int])
      #expect(Array(tokenizer.decode(ids, skippingSpecialTokens: true).utf8) == Array(text.utf8))
    }
  }

  @Test(
    "text that the vocabulary cannot express is left out with a warning, and moved tokens are noted"
  )
  func warnsAboutTextThatIsLeftOut() throws {
    let folder = SharedData.project("Tests/Golden/tokenizers/byte-level-dropped")
    let lines = "{\"text\": \"aqb\"}\n{\"text\": \"qq\"}\n"
    for (arguments, name) in [
      (["-p", "aqqZb"], "--prompt"), (["--jsonl", "-"], "standard input"),
    ] {
      let result = try runExecutable("tokenize", ["-m", folder] + arguments, stdin: lines)
      #expect(result.exitCode == 0)
      #expect(
        result.stderr
          == "tokenize: warning: \(name): the vocabulary has no token for 3 bytes of this "
          + "text, which are left out\n")
    }
    let whole = try runExecutable("tokenize", ["-m", folder, "-p", "ab"])
    #expect(whole.stderr == "")
    let moved = SharedData.project("Tests/Golden/tokenizers/added-tokens-file")
    let noted = try runExecutable("tokenize", ["-m", moved, "-p", "a"])
    #expect(noted.exitCode == 0)
    #expect(
      noted.stderr.contains("\"<|im_end|>\" and 1 more has the id 563 in the file, but the id 562"))
  }

  @Test("text that is not UTF-8 is refused with its place")
  func refusesTextThatIsNotUTF8() throws {
    let folder = try TemporaryFolder()
    try folder.write("text", [0x61, 0x62, 0xFF, 0x63])
    let result = try runExecutable("tokenize", ["-m", stories, "-f", "\(folder.path)/text"])
    #expect(result.exitCode == 3)
    #expect(result.stderr.contains("not UTF-8 at byte 2"))
    let missing = try runExecutable("tokenize", ["-m", stories, "-f", "\(folder.path)/none"])
    #expect(missing.exitCode == 4)
  }

  @Test("a malformed tokenizer or line is refused")
  func refusesBadTokenizersAndLines() throws {
    let folder = try TemporaryFolder()
    try folder.write("tokenizer.json", "{\"model\": {}}")
    let result = try runExecutable("tokenize", ["-m", folder.path, "-p", "x", "--json"])
    #expect(result.exitCode == 3)
    #expect(result.stdout.hasPrefix("{\"error\":{\"code\":3,"))
    let lines = try runExecutable("tokenize", ["-m", stories, "--jsonl", "-"], stdin: "{}")
    #expect(lines.exitCode == 3)
    #expect(lines.stderr.contains("line 1"))
  }
}
