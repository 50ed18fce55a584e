import DuetCompressor
import DuetRuntime
import DuetSystem
import DuetText
import Foundation
import TestSupport
import Testing

/// Every method from the command line to a conversation.
@Suite("Methods of compress")
struct MethodTests {
  private let folder: TemporaryFolder
  private let model: String
  private let text: String

  /// A random model with as many key heads as query heads, so that AWQ rescales everywhere, and the
  /// tokenizer of models/stories.
  init() throws {
    folder = try TemporaryFolder()
    let tiny = TinyCheckpoint(
      Configuration(
        hiddenSize: 64, intermediateSize: 96, layerCount: 2, headCount: 2, keyValueHeadCount: 2,
        vocabularySize: 4096, contextLength: 64))
    let files = try TemporaryFolder()
    try tiny.write(to: files)
    model = "\(folder.path)/model"
    try FileManager.default.copyItem(atPath: files.path, toPath: model)
    for file in ["tokenizer.json", "tokenizer_config.json"] {
      try FileManager.default.copyItem(
        atPath: SharedData.project("models/stories/\(file)"), toPath: "\(model)/\(file)")
    }
    let story = try Data(
      contentsOf: URL(fileURLWithPath: SharedData.project("models/stories/calibration.txt")))
    try story.prefix(6000).write(to: URL(fileURLWithPath: "\(model)/calibration.txt"))
    text = "\(folder.path)/text.txt"
    try story.dropFirst(6000).prefix(2000).write(to: URL(fileURLWithPath: text))
  }

  private static let commands: [(method: String, options: [String])] = [
    ("rtn", ["--format", "int3", "--grid", "asymmetric", "--incoherence", "none"]),
    (
      "gptq",
      [
        "--format", "int3", "--grid", "asymmetric", "--scale-fit", "range", "--incoherence", "none",
        "--act-order",
      ]
    ),
    ("awq", []), ("lqer", ["--rank", "4"]), ("qera", ["--rank", "4", "--lr-format", "int8"]),
    ("caldera", ["--target-bits", "4"]), ("odlri", ["--rank", "4"]), ("srr", ["--rank", "4"]),
    ("lordq", ["--target-bits", "8"]), ("lordq", ["--rank", "32", "--lr-format", "int3"]),
  ]

  @Test("each method's folder loads, scores and chats", arguments: commands.indices)
  func method(index: Int) throws {
    let (method, options) = Self.commands[index]
    let output = "\(folder.path)/compressed"
    let done = try runExecutable(
      "compress",
      [
        model, "-o", output, "--method", method, "-t", "1", "--samples", "8", "-c", "32", "--json",
        "--quiet",
      ] + options)
    #expect(done.exitCode == 0, "\(done.stderr)")
    let document = try #require(
      try JSONSerialization.jsonObject(with: Data(done.stdout.utf8)) as? [String: Any])
    let plan = try #require(document["plan"] as? [String: Any])
    #expect(plan["method"] as? String == method)
    let matrices = try #require(document["matrices"] as? [[String: Any]])
    #expect(matrices.count == 14)
    if let place = options.firstIndex(of: "--target-bits"), let target = Double(options[place + 1])
    {
      let report = try JSONDocument(
        contentsOf: "\(output)/compression_report.json", limits: .smallFile
      ).root
      let bits = try #require(report["totals"]?["linear_bits_per_weight"]?.double)
      // A step of one matrix is at most 16 of 64 components of 96 + 64 numbers in 4.2 bits, of 43,008
      // weights: a quarter of a bit.
      #expect(bits <= target && bits > target - 0.5, "\(bits)")
    }

    let score = try runExecutable(
      "perplexity", ["-m", output, "-f", text, "-c", "64", "-t", "1", "--quiet", "--json"])
    #expect(score.exitCode == 0, "\(score.stderr)")
    let original = try runExecutable(
      "perplexity", ["-m", model, "-f", text, "-c", "64", "-t", "1", "--quiet", "--json"])
    // Random weights know nothing, so their perplexity is near the size of the vocabulary; what is
    // compressed wrongly is surer of what is not so, or not a number.
    let (own, other) = (try Self.perplexity(score), try Self.perplexity(original))
    #expect(own > other / 2 && own < other * 2, "\(own) and \(other)")

    let answer = try runExecutable(
      "chat", ["-m", output, "-p", "Once upon a time", "-n", "8", "-t", "1", "--seed", "1"])
    #expect(answer.exitCode == 0, "\(answer.stderr)")
    #expect(!answer.stdout.isEmpty)
  }

  private static func perplexity(_ result: ExecutableResult) throws -> Double {
    let text = result.stdout
    let key = try #require(text.range(of: "\"perplexity\":"))
    let number = text[key.upperBound...].drop { $0 == " " }.prefix { "0123456789.e+-".contains($0) }
    return try #require(Double(number))
  }

  @Test("an analysis says something of every matrix, for people, programs and eyes")
  func analysis() throws {
    let picture = "\(folder.path)/strip.svg"
    let options = [
      "analyze", model, "--samples", "8", "-c", "32", "-t", "1", "--rank", "4", "--quiet",
    ]
    let table = try runExecutable("compress", options + ["--svg", picture])
    #expect(table.exitCode == 0, "\(table.stderr)")
    let lines = table.stdout.split(separator: "\n")
    #expect(lines.count == 15)
    #expect(lines[0].hasPrefix("matrix") && lines[0].contains("top 4"))
    let svg = try String(contentsOfFile: picture, encoding: .utf8)
    // Three pictures of fourteen matrices, and the ground.
    #expect(svg.components(separatedBy: "<rect").count - 1 == 3 * 14 + 1)
    let json = try runExecutable("compress", options + ["--json"])
    let document = try #require(
      try JSONSerialization.jsonObject(with: Data(json.stdout.utf8)) as? [String: Any])
    let matrices = try #require(document["matrices"] as? [[String: Any]])
    #expect(matrices.count == 14)
    for matrix in matrices {
      let energies = try #require(matrix["weight_energies"] as? [Double])
      #expect(energies.reduce(0, +) < 1.001 && energies == energies.sorted(by: >))
      let errors = try #require(matrix["expected_errors"] as? [String: Double])
      #expect(Set(errors.keys) == ["zero", "low-rank", "odlri", "alone"])
      #expect(errors.values.allSatisfy { $0 >= 0 && $0 <= 1 })
      #expect(matrix["favoured"] is String)
    }
  }

  @Test("an analysis of what cannot be analysed says so")
  func refusedAnalysis() throws {
    let missing = try runExecutable("compress", ["analyze", "\(folder.path)/nothing"])
    #expect(missing.exitCode == 4 || missing.exitCode == 3)
    #expect(missing.stderr.split(separator: "\n").count == 1)
    let unknown = try runExecutable("compress", ["analyze", model, "--method", "rtn"])
    #expect(unknown.exitCode == 2 && unknown.stderr.contains("--method"))
    let impossible = try runExecutable(
      "compress", [model, "-o", "\(folder.path)/none", "--target-bits", "1.5", "--quiet"])
    #expect(impossible.exitCode == 2, "\(impossible.stderr)")
    #expect(impossible.stderr.contains("--target-bits 1.5 cannot be met"))
  }
}
