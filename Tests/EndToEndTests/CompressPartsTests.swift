import DuetRuntime
import DuetSystem
import Foundation
import Glibc
import TestSupport
import Testing

/// The real `compress` in parts, which run at the same time, are killed and joined.
@Suite("Parts by compress", .serialized)
struct CompressPartsTests {
  private let folder: TemporaryFolder
  private let model: String

  init() throws {
    folder = try TemporaryFolder()
    model = try CompressRunTests.model(in: folder, "model")
  }

  private func output(_ name: String) -> String { "\(folder.path)/\(name)" }

  private func arguments(_ output: String, _ more: [String]) -> [String] {
    [model, "-o", output, "--propagate", "original"] + CompressRunTests.options + more
  }

  private func compress(
    _ output: String, _ more: [String] = [], subcommand: String? = nil
  ) throws -> ExecutableResult {
    try runExecutable(
      "compress", (subcommand.map { [$0] } ?? []) + arguments(output, more))
  }

  private func json(_ result: ExecutableResult) throws -> [String: Any] {
    try #require(
      try JSONSerialization.jsonObject(with: result.outputBytes) as? [String: Any],
      "\(result.stdout) \(result.stderr)")
  }

  private func start(_ more: [String], to output: String) throws -> ChildProcess {
    try ChildProcess(
      path: try executablePath("compress"), arguments: arguments(output, more + ["--quiet"]),
      descriptors: [
        .open(0, "/dev/null", O_RDONLY), .open(1, "/dev/null", O_WRONLY),
        .open(2, self.output("stderr"), O_WRONLY | O_CREAT | O_APPEND),
      ])
  }

  @Test("parts that run at once, and are killed, are joined to the bytes of one run")
  func killed() throws {
    #expect(try compress(output("whole")).exitCode == 0)
    let expected = try CompressRunTests.files(output("whole"))
    #expect(expected.count == 6)
    var generator = RandomGenerator(seed: 3)
    for trial in 0..<4 {
      let path = output("parts-\(trial)")
      let sharesStates = trial % 2 == 1
      for index in 1...2 where sharesStates {
        #expect(try compress(path, ["--part", "\(index)/2"], subcommand: "states").exitCode == 0)
      }
      let shared = sharesStates ? ["--shared-states"] : []
      let children = try (1...2).map { try start(["--part", "\($0)/2"] + shared, to: path) }
      usleep(UInt32(generator.nextUnit() * 0.4e6))
      children[trial / 2].signal(SIGKILL)
      for child in children { _ = child.wait(timeLimit: 60) }
      #expect(!FileManager.default.fileExists(atPath: path))
      for index in 1...2 {
        let result = try compress(path, ["--part", "\(index)/2"] + shared)
        #expect(result.exitCode == 0, "\(result.stderr)")
        #expect(result.stdout.contains("done       part \(index)/2, 7 matrices"))
      }
      let merged = try compress(path, subcommand: "merge")
      #expect(merged.exitCode == 0, "\(merged.stderr)")
      #expect(try CompressRunTests.files(path) == expected, "trial \(trial)")
    }
    let errors = String(decoding: try folder.read("stderr"), as: UTF8.self)
    #expect(errors.isEmpty, "\(errors)")
  }

  @Test("parts that lack something are named, for people and as JSON")
  func incomplete() throws {
    let path = output("out")
    CompressRunTests.expectRefusal(
      try compress(path, subcommand: "merge"), code: 6, "there are no parts")
    #expect(try compress(path, ["--part", "1/2"]).exitCode == 0)
    CompressRunTests.expectRefusal(
      try compress(path, subcommand: "merge"), code: 6, "part 2/2 is missing")
    let list = try compress(path, ["--dry-run"], subcommand: "merge")
    #expect(list.exitCode == 0)
    #expect(list.stdout == "part 1/2   complete, 7 matrices\npart 2/2   missing\n")
    let document = try json(try compress(path, ["--dry-run", "--json"], subcommand: "merge"))
    let parts = try #require(document["parts"] as? [[String: Any]])
    #expect(parts.map { $0["complete"] as? Bool } == [true, false])
    #expect(parts.map { $0["index"] as? Int } == [1, 2])
    let error = try json(try compress(path, ["--json", "--quiet"], subcommand: "merge"))
    let sentence = (error["error"] as? [String: Any])?["message"] as? String
    #expect(sentence?.contains("part 2/2 is missing") == true)
    #expect(!FileManager.default.fileExists(atPath: path))
    // A part of other options is not joined.
    #expect(try compress(path, ["--part", "2/2", "--damping", "0.02"]).exitCode == 0)
    CompressRunTests.expectRefusal(
      try compress(path, subcommand: "merge"), code: 6,
      "part 2/2 is of another run (plan.damping (then 0.02, now 0.01))")
    CompressRunTests.expectRefusal(
      try compress(path, ["--part", "2/2"]), code: 6, "plan.damping (then 0.02, now 0.01)")
  }

  @Test("options that contradict parts")
  func contradictions() throws {
    let out = output("out")
    func refusal(_ options: [String], _ part: String, subcommand: [String] = []) throws {
      let result = try runExecutable(
        "compress", subcommand + [model, "-o", out] + CompressRunTests.options + options)
      CompressRunTests.expectRefusal(result, code: 2, part)
    }
    try refusal(["--part", "1/2"], "not with corrected")
    try refusal(["--part", "1/2", "--propagate", "compressed"], "not with compressed")
    try refusal([], "not with corrected", subcommand: ["merge"])
    let original = ["--propagate", "original"]
    try refusal(original + ["--part", "1/3"], "at most 2 parts")
    try refusal(original + ["--part", "3/2"], "is not a part such as 2/6")
    try refusal(original + ["--part", "1/2", "--export-dense", output("dense")], "merge")
    try refusal(original + ["--shared-states"], "no meaning without --part")
    try refusal(original, "--part I/N is required", subcommand: ["states"])
    try refusal(original + ["--part", "1/2"], "unknown option '--part'", subcommand: ["merge"])
    #expect(!FileManager.default.fileExists(atPath: "\(out).parts"))
  }

  @Test("a dry run tells the layers and the time of a part")
  func forecast() throws {
    let document = try json(
      try compress(output("out"), ["--part", "2/2", "--dry-run", "--json", "--quiet"]))
    let part = try #require(document["part"] as? [String: Any])
    #expect(part["index"] as? Int == 2 && part["count"] as? Int == 2)
    #expect(part["first_layer"] as? Int == 1 && part["layer_count"] as? Int == 1)
    #expect(part["run_up_layers"] as? Int == 1 && part["matrices"] as? Int == 7)
    #expect(part["shared_states"] as? Bool == false)
    let text = try compress(
      output("out"), ["--part", "2/2", "--shared-states", "--dry-run", "--quiet"])
    #expect(text.exitCode == 0)
    #expect(text.stdout.contains("\npart       2/2: layer 2 of 2, 7 matrices; about 0:0"))
    #expect(text.stdout.contains("; states 0:0"))
    let share = try compress(
      output("out"), ["--part", "2/2", "--dry-run", "--quiet"], subcommand: "states")
    #expect(share.stdout.contains("2/2 of the states: runs its samples through 1 of 2 layers"))
    #expect(!FileManager.default.fileExists(atPath: output("out.parts")))
  }
}
