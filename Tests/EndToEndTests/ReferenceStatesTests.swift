import DuetSystem
import Foundation
import TestSupport
import Testing

/// `perplexity --reference-states`, run on models/stories.
@Suite("States of a reference in a file")
struct ReferenceStatesTests {
  private let model = SharedData.project("models/stories")
  private let heldOut = SharedData.project("models/stories/heldout.txt")
  private let folder: TemporaryFolder
  private var states: String { "\(folder.path)/states" }

  init() throws { folder = try TemporaryFolder() }

  /// A comparison in which the model differs from the reference by the type of its cache.
  private func run(_ options: [String] = []) throws -> ExecutableResult {
    try runExecutable(
      "perplexity",
      [
        "-m", model, "-f", heldOut, "--reference", model, "--kv-cache", "int8",
        "--json",
      ] + (options.contains("-c") ? [] : ["-c", "600"])
        + (options.contains("--windows") ? [] : ["--windows", "2"])
        + (options.contains("--reference-kv-cache") ? [] : ["--reference-kv-cache", "f32"])
        + options)
  }

  private func comparison(_ result: ExecutableResult) throws -> [String: Any] {
    let document = try #require(
      try JSONSerialization.jsonObject(with: result.outputBytes) as? [String: Any])
    let first = try #require((document["results"] as? [[String: Any]])?.first)
    return try #require(first["comparison"] as? [String: Any])
  }

  @Test("results are those without the file, bit for bit, when it is written and when it is used")
  func sameResults() throws {
    let plain = try run()
    #expect(plain.exitCode == 0, "\(plain.stderr)")
    let written = try run(["--reference-states", states])
    let used = try run(["--reference-states", states])
    #expect(written.outputBytes == plain.outputBytes)
    #expect(used.outputBytes == plain.outputBytes)
    #expect((try comparison(plain)["kl_divergence"] as? Double).map { $0 > 0 } == true)
    // 2 windows of 599 predictions, 256 numbers of 4 bytes; mark, digest, sizes and checksum.
    let byteCount = try FileManager.default.attributesOfItem(atPath: states)[.size] as? Int
    #expect(byteCount == 2 * 599 * 256 * 4 + 16 + 32 + 16 + 32)
  }

  @Test("the numbers of the file are what the model is compared with")
  func fileIsUsed() throws {
    _ = try run(["--reference-states", states])
    let bytes = try readFile(states, limit: 1 << 24)
    var file = try SealedFileWriter(
      path: states, mark: "duet reference 1", byteCount: bytes.count - 48)
    try file.append(Array(bytes[16..<64]))
    try file.append([UInt8](repeating: 0, count: bytes.count - 64 - 32))
    try file.commit()
    let result = try comparison(try run(["--reference-states", states]))
    // States of zeros have logits of zero: every token is as likely as another of the vocabulary. The logarithm, its mean
    // over 1198 predictions and the exponential round in Double, together by less than 1e-12.
    let vocabulary = try #require(try vocabularySize())
    let perplexity = try #require(result["reference_perplexity"] as? Double)
    #expect(abs(perplexity / Double(vocabulary) - 1) < 1e-12)
  }

  private func vocabularySize() throws -> Int? {
    let bytes = try Data(contentsOf: URL(fileURLWithPath: "\(model)/config.json"))
    let document = try JSONSerialization.jsonObject(with: bytes) as? [String: Any]
    return document?["vocab_size"] as? Int
  }

  @Test(
    "states of another run are refused",
    arguments: [
      ["--windows", "3"], ["-c", "500"], ["--bos", "every"], ["--reference-kv-cache", "f16"],
      ["--activations", "f32"],
    ])
  func otherRun(options: [String]) throws {
    _ = try run(["--reference-states", states])
    let before = try readFile(states, limit: 1 << 24)
    let result = try run(options + ["--reference-states", states])
    #expect(result.exitCode == 3, "\(result.stderr)")
    #expect(result.stdout.contains("another model, text, protocol or context"))
    #expect(try readFile(states, limit: 1 << 24) == before)
  }

  @Test("damaged, cut and foreign files are refused")
  func damagedFiles() throws {
    _ = try run(["--reference-states", states])
    let whole = try readFile(states, limit: 1 << 24)
    func refuse(_ bytes: [UInt8], _ part: String) throws {
      try Data(bytes).write(to: URL(fileURLWithPath: states))
      let result = try run(["--reference-states", states])
      #expect(result.exitCode == 3, "\(result.stderr)")
      #expect(result.stdout.contains(part), "\(result.stderr)")
    }
    for place in [16, 50, 64, whole.count / 2, whole.count - 1] {
      var changed = whole
      changed[place] ^= 1
      try refuse(changed, "incomplete or damaged")
    }
    for count in [16, 47, 48, whole.count - 1] {
      try refuse(Array(whole.prefix(count)), "incomplete or damaged")
    }
    try refuse(whole + [0], "incomplete or damaged")
    try refuse([], "was not written by --reference-states")
    try refuse(Array("no states at all, but text".utf8), "was not written by --reference-states")
  }

  @Test("the option is refused where it has no meaning, and a folder that is not there")
  func refusals() throws {
    let alone = try runExecutable(
      "perplexity", ["-m", model, "-f", heldOut, "--reference-states", states])
    #expect(alone.exitCode == 2)
    #expect(alone.stderr.contains("give --reference too"))
    let two = try run(["-f", heldOut, "--reference-states", states])
    #expect(two.exitCode == 2)
    #expect(two.stdout.contains("one text"))
    let nowhere = try run(["--reference-states", "\(folder.path)/none/states"])
    #expect(nowhere.exitCode == 4, "\(nowhere.stderr)")
  }
}
