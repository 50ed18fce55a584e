import DuetRuntime
import DuetSystem
import Foundation
import Glibc
import TestSupport
import Testing

/// Runs of the real `compress` that are killed, interrupted, refused or starved, on a model of two layers.
@Suite("Runs of compress", .serialized)
struct CompressRunTests {
  private let folder: TemporaryFolder
  private let model: String
  static let options = [
    "-t", "1", "--samples", "8", "-c", "32", "--rank", "4", "--outer-iterations", "2",
    "--inner-iterations", "2", "--refinement-rounds", "1",
  ]

  /// A random model with the tokenizer of models/stories and a page of its calibration text.
  init() throws {
    folder = try TemporaryFolder()
    model = try Self.model(in: folder, "model")
  }

  static func model(
    in folder: TemporaryFolder, _ name: String, change: (inout TinyCheckpoint) -> Void = { _ in }
  ) throws -> String {
    var tiny = TinyCheckpoint(
      Configuration(
        hiddenSize: 32, intermediateSize: 48, layerCount: 2, headCount: 2, keyValueHeadCount: 1,
        vocabularySize: 4096, contextLength: 64))
    change(&tiny)
    let files = try TemporaryFolder()
    try tiny.write(to: files)
    let path = "\(folder.path)/\(name)"
    try FileManager.default.copyItem(atPath: files.path, toPath: path)
    for file in ["tokenizer.json", "tokenizer_config.json"] {
      try FileManager.default.copyItem(
        atPath: SharedData.project("models/stories/\(file)"), toPath: "\(path)/\(file)")
    }
    let text = try Data(
      contentsOf: URL(fileURLWithPath: SharedData.project("models/stories/calibration.txt")))
    try text.prefix(4000).write(to: URL(fileURLWithPath: "\(path)/calibration.txt"))
    return path
  }

  private func arguments(_ output: String, _ more: [String] = []) -> [String] {
    // An option may be given once: one of `more` replaces that of the model.
    var options: [String] = []
    for index in stride(from: 0, to: Self.options.count, by: 2)
    where !more.contains(Self.options[index]) { options += Self.options[index...index + 1] }
    return [model, "-o", output] + options + more
  }

  private func compress(_ output: String, _ more: [String] = []) throws -> ExecutableResult {
    try runExecutable("compress", arguments(output, more))
  }

  private func output(_ name: String) -> String { "\(folder.path)/\(name)" }

  /// A `compress` that goes on while the test does something.
  private func start(
    _ output: String, _ more: [String] = [], shell: String = ""
  ) throws -> ChildProcess {
    let command = "\(shell) exec \"$0\" \"$@\""
    return try ChildProcess(
      path: "/bin/sh",
      arguments: ["-c", command, try executablePath("compress")] + arguments(output, more),
      descriptors: [
        .open(0, "/dev/null", O_RDONLY),
        .open(1, self.output("stdout"), O_WRONLY | O_CREAT | O_TRUNC),
        .open(2, self.output("stderr"), O_WRONLY | O_CREAT | O_TRUNC),
      ])
  }

  private func text(_ name: String) throws -> String {
    String(decoding: try folder.read(name), as: UTF8.self)
  }

  /// Waits until `condition` holds, 30 seconds at most.
  private func wait(_ condition: () throws -> Bool) throws {
    for _ in 0..<15_000 {
      if try condition() { return }
      usleep(2000)
    }
    Issue.record("nothing happened within 30 seconds")
  }

  /// Begins a run and kills it when its first matrix is done.
  private func unfinishedRun(_ name: String) throws -> String {
    let path = output(name)
    let child = try start(path)
    try wait { try text("stdout").contains(" 1/14 ") }
    child.signal(SIGKILL)
    _ = child.wait(timeLimit: 10)
    return path
  }

  /// The files of a model, without the times it took.
  static func files(_ path: String) throws -> [String: Data] {
    var result: [String: Data] = [:]
    for name in try FileManager.default.contentsOfDirectory(atPath: path)
    where name != "compression_timings.json" {
      result[name] = try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(name)"))
    }
    return result
  }

  /// Checks that a run was refused with one line on standard error, besides its progress.
  static func expectRefusal(
    _ result: ExecutableResult, code: Int32, _ part: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(result.exitCode == code, "\(result.stderr)", sourceLocation: sourceLocation)
    let lines = result.stderr.split(separator: "\n").filter { !$0.contains(" matrices  ") }
    #expect(lines.count == 1, "\(result.stderr)", sourceLocation: sourceLocation)
    #expect(result.stderr.contains(part), "\(result.stderr)", sourceLocation: sourceLocation)
  }

  // MARK: - Interruptions

  @Test("killed at any moment and resumed, the result has the same bytes")
  func killed() throws {
    let start = Date()
    #expect(try compress(output("whole")).exitCode == 0)
    let duration = Date().timeIntervalSince(start)
    let expected = try Self.files(output("whole"))
    #expect(expected.count == 6)
    var generator = RandomGenerator(seed: 11)
    var (killed, alreadyBegun, trial) = (0, 0, 0)
    // On a busy machine a run may take much longer than the first one, or shorter, and the moments fall
    // before it has begun or after it has ended.
    while trial < 10 || ((killed < 5 || alreadyBegun == 0) && trial < 60) {
      trial += 1
      let path = output("killed-\(trial)")
      let child = try self.start(path)
      usleep(UInt32(generator.nextUnit() * duration * 1e6))
      child.signal(SIGKILL)
      if child.wait(timeLimit: 10).exitCode == 128 + SIGKILL {
        killed += 1
        if FileManager.default.fileExists(atPath: "\(path)/.compress/parts") { alreadyBegun += 1 }
        // An output that is complete already is refused, as it should be.
        let result = try compress(path)
        let isComplete = FileManager.default.fileExists(atPath: "\(path)/config.json")
        #expect(result.exitCode == 0 || (result.exitCode == 2 && isComplete), "\(result.stderr)")
      }
      #expect(try Self.files(path) == expected, "trial \(trial)")
    }
    #expect(killed >= 5, "\(killed) of \(trial) runs were killed")
    #expect(alreadyBegun > 0)
  }

  @Test(
    "Ctrl-C and SIGTERM stop after a matrix, and the run can go on", arguments: [SIGINT, SIGTERM])
  func signals(number: Int32) throws {
    // More work, so that the signal does not come too late.
    let work = ["--outer-iterations", "40", "--inner-iterations", "40"]
    #expect(try compress(output("whole"), work).exitCode == 0)
    let path = output("stopped")
    let child = try start(path, work)
    try wait { try text("stdout").contains(" 1/14 ") }
    child.signal(number)
    #expect(child.wait(timeLimit: 30).exitCode == (number == SIGINT ? 6 : 143))
    let sentence = #/compress: stopped after \d+ of 14 matrices, which are kept; give the same .*/#
    let errors = try text("stderr").split(separator: "\n")
    #expect(try errors.last.map { try sentence.wholeMatch(in: $0) != nil } == true, "\(errors)")
    #expect(!FileManager.default.fileExists(atPath: "\(path)/config.json"))
    let result = try compress(path, work + ["--resume", "required"])
    #expect(result.exitCode == 0, "\(result.stderr)")
    #expect(result.stdout.contains("from the journal"))
    #expect(try Self.files(path) == Self.files(output("whole")))
  }

  @Test("a change is named when a run is resumed, and nothing is mixed")
  func changes() throws {
    let path = try unfinishedRun("begun")
    let other = try folder.write("other.txt", String(repeating: "Other words. ", count: 400))
    let changes = [
      (["--rank", "5"], "plan.rank (then 4, now 5)"), (["--format", "int3"], "plan.format"),
      (["--group-size", "64"], "plan.group_size"), (["--head-format", "f16"], "plan.head_format"),
      (["--damping", "0.02"], "plan.damping"), (["--incoherence", "none"], "plan.incoherence"),
      (["--propagate", "original"], "plan.propagation"), (["--keep", "q_proj"], "plan.kept_names"),
      (["--lr-rounding", "nearest"], "plan.factor_rounding"),
      (["--calibration", other], "calibration"),
    ]
    for (options, part) in changes {
      Self.expectRefusal(try compress(path, options), code: 6, part)
    }
    let result = try compress(path, ["--seed", "1", "--json"])
    #expect(result.exitCode == 6 && result.stderr.isEmpty)
    let document = try JSONSerialization.jsonObject(with: result.outputBytes) as? [String: Any]
    let error = try #require(document?["error"] as? [String: Any])
    #expect((error["message"] as? String)?.contains("plan.seed") == true)
    // Other weights under the same name.
    let weights = URL(fileURLWithPath: "\(model)/model.safetensors")
    let original = try Data(contentsOf: weights)
    var changed = original
    changed[changed.count - 2] ^= 1
    try changed.write(to: weights)
    Self.expectRefusal(try compress(path), code: 6, "tensor.model.")
    Self.expectRefusal(
      try compress(path, ["--resume", "never"]), code: 2, "there is an unfinished run")
    #expect(try compress(path, ["--resume", "never", "--force"]).exitCode == 0)
  }

  // MARK: - Refusals

  @Test("weights that are not numbers", arguments: [Float.nan, -.infinity])
  func nonFinite(value: Float) throws {
    let name = "model.layers.1.mlp.gate_proj"
    let bad = try Self.model(in: folder, "bad") { $0.tensors["\(name).weight"]?.values[5] = value }
    let output = output("out")
    Self.expectRefusal(
      try runExecutable("compress", [bad, "-o", output] + Self.options), code: 5, name)
    #expect(!FileManager.default.fileExists(atPath: "\(output)/config.json"))
    let result = try runExecutable(
      "compress",
      // Only this way nothing but the check of all weights would find the name.
      [bad, "-o", self.output("json"), "--json", "--quiet", "--propagate", "compressed"]
        + Self.options)
    #expect(result.exitCode == 5 && result.stderr.isEmpty, "\(result.stderr)")
    let document = try JSONSerialization.jsonObject(with: result.outputBytes) as? [String: Any]
    let error = try #require(document?["error"] as? [String: Any])
    #expect(error["code"] as? Int == 5)
    #expect((error["message"] as? String)?.contains(name) == true, "\(error)")
  }

  @Test("texts and folders that will not do")
  func refusals() throws {
    let out = output("out")
    Self.expectRefusal(
      try compress(out, ["--samples", "5000"]), code: 3, "fewer than the 160000 needed")
    Self.expectRefusal(
      try compress(out, ["--calibration", output("none.txt")]), code: 4, "none.txt")
    Self.expectRefusal(try compress(model), code: 2, "the output is the model itself")
    Self.expectRefusal(try compress("\(model)/out"), code: 2, "inside the model")
    Self.expectRefusal(try compress("/proc/duet"), code: 4, "/proc/duet")
    try FileManager.default.createDirectory(atPath: out, withIntermediateDirectories: true)
    try folder.write("out/letter.txt", "mine")
    Self.expectRefusal(try compress(out), code: 2, "the output is not empty")
    #expect(try Self.files(out).count == 1)
    Self.expectRefusal(
      try compress(output("new"), ["--export-dense", output("new")]), code: 2,
      "must lie apart")
  }

  @Test("a second run on one output is refused")
  func locked() throws {
    let path = output("out")
    let child = try start(path, ["--outer-iterations", "60", "--inner-iterations", "60"])
    try wait { FileManager.default.fileExists(atPath: "\(path)/.compress/fingerprint.json") }
    Self.expectRefusal(try compress(path), code: 4, "another process is writing")
    child.signal(SIGKILL)
  }

  @Test(
    "when files cannot grow, there is a whole result or none, and the run can go on",
    .disabled(
      if: Sanitizer.watchesThreads,
      "the thread sanitizer writes a file when a program starts, before that can refuse it"))
  func fileSizeLimit() throws {
    #expect(try compress(output("whole")).exitCode == 0)
    let expected = try Self.files(output("whole"))
    var failures = 0
    // In blocks of 512 bytes: below the smallest part, among the parts, the states of 32 KiB, the head of
    // 160 KiB, the weights of about 700 KiB.
    for blocks in [0, 1, 4, 40, 66, 300, 330, 1000, 4000] {
      let path = output("limited-\(blocks)")
      // Standard output is a file too, and small.
      let child = try start(path, ["--quiet"], shell: "ulimit -f \(blocks);")
      let code = child.wait(timeLimit: 60).exitCode
      if code == 0 {
        #expect(try Self.files(path) == expected, "\(blocks) blocks")
        continue
      }
      failures += 1
      let errors = try text("stderr")
      #expect(code == 4, "\(blocks) blocks: \(errors)")
      #expect(!FileManager.default.fileExists(atPath: "\(path)/config.json"), "\(blocks) blocks")
      #expect(try compress(path).exitCode == 0, "\(blocks) blocks")
      #expect(try Self.files(path) == expected, "\(blocks) blocks")
    }
    #expect(failures >= 6)
  }

  @Test(
    "the peak of memory is within 15 % of the forecast",
    .disabled(if: Sanitizer.isActive, "a sanitizer's own memory is many times that of the run"))
  func memory() throws {
    let stories = SharedData.project("models/stories")
    let options = [
      "-t", "2", "--samples", "8", "-c", "128", "--outer-iterations", "1", "--inner-iterations",
      "1",
      "--refinement-rounds", "0",
    ]
    let dry = try runExecutable("compress", [stories, "--dry-run", "--json"] + options)
    let document = try JSONSerialization.jsonObject(with: dry.outputBytes)
    // Files that are mapped count as the process's while there is room.
    let forecast =
      try #require(Self.number("peak_memory_bytes", in: document))
      + #require(Self.number("mapped_bytes", in: document))
    let child = try ChildProcess(
      path: try executablePath("compress"),
      arguments: [stories, "-o", output("out"), "--quiet"] + options,
      descriptors: [
        .open(0, "/dev/null", O_RDONLY), .open(1, "/dev/null", O_WRONLY),
        .open(2, "/dev/null", O_WRONLY),
      ])
    var peak = 0.0
    while child.poll() == nil {
      // "VmHWM:     61316 kB": the largest that it was so far.
      let status =
        (try? String(contentsOfFile: "/proc/\(child.identifier)/status", encoding: .utf8))
      let line = status?.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
      if let size = line?.split(separator: " ").dropFirst().first.flatMap({ Double($0) }) {
        peak = size * 1024
      }
      usleep(2000)
    }
    #expect(child.poll() == 0)
    #expect(abs(peak - forecast) < 0.15 * forecast, "\(peak) of \(forecast)")
  }

  // MARK: - What is shown and exported

  @Test("a log gets few lines of progress, and the matrices as results")
  func progress() throws {
    let result = try compress(output("out"))
    #expect(result.exitCode == 0)
    let lines = result.stdout.split(separator: "\n")
    #expect(lines.count == 2 + 14 + 1)
    #expect(lines.last?.hasPrefix("done ") == true)
    // Every 5 % of 14 matrices is every matrix at most.
    let progress = result.stderr.split(separator: "\n")
    #expect(progress.count <= 16, "\(result.stderr)")
    #expect(progress.allSatisfy { $0.hasPrefix("compress  ") && $0.contains("/14 matrices  ") })
    #expect(try compress(output("quiet"), ["--quiet"]).stderr.isEmpty)
  }

  @Test("perplexity reads the dense export, which computes what the compressed model does")
  func export() throws {
    let (compressed, dense) = (output("out"), output("dense"))
    #expect(try compress(compressed, ["--export-dense", dense]).exitCode == 0)
    func divergence(from reference: String) throws -> Double {
      let result = try runExecutable(
        "perplexity",
        [
          "-m", dense, "--reference", reference, "-f", "\(model)/calibration.txt", "-c", "32",
          "--json",
        ])
      #expect(result.exitCode == 0, "\(result.stdout)")
      let document = try JSONSerialization.jsonObject(with: result.outputBytes)
      return try #require(Self.number("kl_divergence", in: document))
    }
    // The divergence grows with the square of what logits differ by: here it is the rounding of
    // activations to 0.6 % (see `CompressedModelTests`), which may come to a twentieth of a logit, against
    // that of weights to two bits, which is a third of them and more (`rel.err`).
    let (own, original) = try (divergence(from: compressed), divergence(from: model))
    #expect(original > 0 && own < 0.05 * original, "\(own) and \(original)")
  }

  /// The first number under a key, anywhere in a document.
  private static func number(_ key: String, in value: Any) -> Double? {
    if let object = value as? [String: Any] {
      if let number = object[key] as? Double { return number }
      return object.values.lazy.compactMap { number(key, in: $0) }.first
    }
    return (value as? [Any])?.lazy.compactMap { number(key, in: $0) }.first
  }
}
