import DuetText
import Foundation
import TestSupport
import Testing

/// The executable with the protocols of C4, run on models/stories with texts made up here.
@Suite("Command line of perplexity on C4")
struct PerplexityC4Tests {
  private let model = SharedData.project("models/stories")
  private let folder: TemporaryFolder
  private let texts: [String]

  /// Makes a file of thirty documents of 1 to 117 words.
  init() throws {
    folder = try TemporaryFolder()
    let names = ["Tom", "Sue", "Ben"]
    texts = (0..<30).map { index in
      (0...(4 * index)).map { "\(names[($0 + index) % 3]) ran." }.joined(separator: " ")
    }
    let lines = texts.map { text in
      JSONOutput.object([.init("text", .string(text)), .init("url", .string("https://a.b"))]).text
    }
    try folder.write("c4.json", lines.joined(separator: "\n") + "\n")
  }

  private func perplexity(_ options: String...) throws -> ExecutableResult {
    let file = folder.path + "/c4.json"
    return try runExecutable("perplexity", ["-m", model, "-f", file, "-t", "1"] + options)
  }

  private func result(_ run: ExecutableResult) throws -> [String: Any] {
    #expect(run.exitCode == 0, "\(run.stderr)")
    let root = try JSONSerialization.jsonObject(with: run.outputBytes) as? [String: Any]
    return try #require((root?["results"] as? [[String: Any]])?.first)
  }

  @Test("a result says what was drawn and what it is over")
  func prose() throws {
    let run = try perplexity("--protocol", "paper-c4", "-c", "32", "--windows", "4", "--quiet")
    #expect(
      run.stdout.contains(
        "(partial, not comparable; paper-c4: 4 of 256 windows × 31 tokens, context 32, seed 0, "
          + "BOS before each document, 0 skipped)"), "\(run.stdout)")
    #expect(run.stdout.contains("jsonl, 30 documents, "))
    #expect(run.stderr.contains("warning: "))
    #expect(run.stderr.contains("30 documents, where the first validation file of C4 has 45576"))
    let first = try result(
      try perplexity("--protocol", "paper-c4", "-c", "32", "--windows", "4", "--quiet", "--json"))
    #expect(first["windows"] as? Int == 4)
    #expect(first["expected_windows"] as? Int == 256)
    #expect(first["scored_tokens"] as? Int == 4 * 31)
    #expect(first["expected_tokens"] as? Int == 256 * 31)
    #expect(first["documents"] as? Int == 30)
    #expect(first["seed"] as? Int == 0)
    #expect(first["partial"] as? Bool == true)
    let drawn = try #require(first["sampled_documents"] as? Int)
    #expect(drawn >= 1 && drawn <= 4)
    let other = try result(
      try perplexity(
        "--protocol", "paper-c4", "-c", "32", "--windows", "4", "--seed", "5", "--quiet", "--json"))
    #expect(other["seed"] as? Int == 5)
    #expect(other["perplexity"] as? Double != first["perplexity"] as? Double)
  }

  @Test("all 256 windows are not partial, and more are warned of")
  func allWindows() throws {
    let whole = try perplexity("--protocol", "paper-c4", "-c", "3", "--quiet")
    #expect(whole.stdout.contains("(paper-c4: 256 windows × 2 tokens, "), "\(whole.stdout)")
    let more = try perplexity("--protocol", "paper-c4", "-c", "3", "--windows", "300", "--quiet")
    #expect(more.stdout.contains("(paper-c4: 300 windows × 2 tokens, "), "\(more.stdout)")
    #expect(more.stderr.contains("300 windows are more than the 256"), "\(more.stderr)")
  }

  @Test("joined texts are measured as the same text by protocol paper")
  func joinedTexts() throws {
    let text = try folder.write("text.txt", texts.joined(separator: " "))
    let options = ["-c", "64", "--windows", "3", "--quiet", "--json"]
    let paper = try result(
      try runExecutable("perplexity", ["-m", model, "-f", text, "-t", "1"] + options))
    let joined = try result(
      try perplexity(
        "--protocol", "c4-new", "-c", "64", "--windows", "3", "--quiet", "--json"))
    for key in ["perplexity", "perplexity_stderr", "expected_windows", "expected_tokens"] {
      #expect(joined[key] as? Double == paper[key] as? Double, "\(key)")
    }
    #expect(joined["seed"] is NSNull)
  }

  @Test("a model against itself has no divergence on C4")
  func aModelAgainstItself() throws {
    let first = try result(
      try perplexity(
        "--protocol", "paper-c4", "-c", "32", "--windows", "2", "--reference", model, "--quiet",
        "--json"))
    #expect((first["comparison"] as? [String: Any])?["kl_divergence"] as? Double == 0)
  }

  @Test("files and options that do not go with C4 are refused")
  func refusals() throws {
    expectRefusal(
      try perplexity("--protocol", "paper-c4", "-c", "900"), code: 3,
      "none of its 30 documents has more than 900 tokens")
    expectRefusal(
      try perplexity("--protocol", "c4-new", "--tail", "score"), code: 2, "--tail score")
    for option in ["--lossy", "--strip-bom", "--characters=9", "--text-format=raw", "--bos=every"] {
      let name = option.prefix { $0 != "=" }
      expectRefusal(try perplexity("--protocol", "paper-c4", option), code: 2, String(name))
    }
    expectRefusal(try perplexity("--seed", "1"), code: 2, "--seed has no meaning")
    expectRefusal(try perplexity("--protocol", "c4-new", "--seed", "1"), code: 2, "--seed")
    try folder.write("c4.json", [0x1F, 0x8B, 0x08, 0x00])
    expectRefusal(try perplexity("--protocol", "paper-c4"), code: 3, "a gzip file")
    try folder.write("c4.json", "{\"text\":\"a\"}\n[]\n")
    expectRefusal(try perplexity("--protocol", "paper-c4"), code: 3, "line 2")
    try folder.write("c4.json", "")
    expectRefusal(try perplexity("--protocol", "paper-c4"), code: 3, "none of its 0 documents")
    expectRefusal(try perplexity("--protocol", "c4-new"), code: 3, "fewer than")
  }
}
