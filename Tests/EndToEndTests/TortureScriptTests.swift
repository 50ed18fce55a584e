import Foundation
import TestSupport
import Testing

/// Whether the torture scripts can run here.
///
/// Sanitizers have memory and handlers of signals of their own, which is what some parts look at.
private let canTorture: Bool = {
  let environment = ProcessInfo.processInfo.environment
  let isSanitized = environment["ASAN_OPTIONS"] != nil || environment["TSAN_OPTIONS"] != nil
  return !isSanitized && (try? status("/usr/bin/env", ["python3", "-c", "import pty"]).code) == 0
}()

private func status(
  _ path: String, _ arguments: [String]
) throws -> (code: Int32, output: String) {
  let file = try TemporaryFolder()
  let programs = (try executablePath("chat") as NSString).deletingLastPathComponent
  let process = try ChildProcess(
    path: path, arguments: arguments,
    environment: ["PYTHONDONTWRITEBYTECODE": "1", "DUET_PROGRAMS": programs],
    descriptors: [
      .open(0, "/dev/null", O_RDONLY), .open(1, "\(file.path)/out", O_WRONLY | O_CREAT),
      .duplicate(2, from: 2),
    ])
  let code = process.wait(timeLimit: 300).exitCode
  return (code, String(decoding: try file.read("out"), as: UTF8.self))
}

/// The torture scripts with few cases each.
///
/// `Scripts/torture-parts/terminal` and `Scripts/torture-parts/compress` have the full counts.
@Suite("Torture", .serialized, .enabled(if: canTorture))
struct TortureScriptTests {
  private static let parts: [(script: String, part: String, count: Int)] = [
    ("terminal", "streams", 100), ("terminal", "signals", 25), ("terminal", "output", 40),
    ("terminal", "interrupts", 10), ("terminal", "turns", 100), ("terminal", "windows", 100),
    ("compress", "disk", 2), ("compress", "locks", 4), ("compress", "mixes", 8),
  ]

  @Test("every part passes with a few cases", arguments: parts)
  func fewCases(script: String, part: String, count: Int) throws {
    let run = try status(
      SharedData.project("Scripts/torture-parts/\(script)"), [part, "\(count)"])
    #expect(run.code == 0, "\(run.output)")
    let last = run.output.split(separator: "\n").last
    #expect(last?.hasPrefix("torture: ") == true && last?.hasSuffix(" 0") == true, "\(run.output)")
  }

  @Test("outputs that will not do are refused by compress")
  func outputsThatWillNotDo() throws {
    let run = try status(SharedData.project("Scripts/torture-parts/compress"), ["folders"])
    #expect(run.code == 0, "\(run.output)")
  }
}
