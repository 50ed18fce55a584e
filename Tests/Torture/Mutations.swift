import DuetRuntime
import DuetSystem
import DuetText
import Foundation
import Glibc
import TestSupport

/// Mutations of one kind of file: no crash, none over a second, bounded memory.
func mutations(_ kind: HostileKind, _ options: PartOptions) throws -> PartResult {
  let run = try MutationRun(kind, seed: options.seed)
  if let path = options.savePath {
    try Data(run.input(options.first)).write(to: URL(fileURLWithPath: path))
    return PartResult(caseCount: 0, lines: ["case \(options.first) is in \(path)"])
  }
  let state = try options.statePath.map { try CaseRecord($0) }
  let outcome = try run.run(options.first..<options.first + options.count) { number in
    state?.write(number)
    // A case that never ends would hide behind the next; SIGALRM ends the process after half a minute.
    if number % 256 == 0 { alarm(30) }
  }
  alarm(0)
  var result = PartResult(caseCount: options.count)
  result.lines.append(
    "\(kind.rawValue): \(outcome.acceptedCount) accepted, \(outcome.refusedCount) refused, slowest "
      + "\(decimal(outcome.slowestSeconds * 1000)) ms (case \(outcome.slowestCase)), memory grew by "
      + "\(decimal(Double(outcome.growth) / 1_048_576)) MiB")
  for _ in 0..<outcome.hangCount { result.fail("a case took more than \(MutationRun.timeLimit) s") }
  if outcome.growth > MutationRun.growthLimit { result.fail("memory grew beyond the limit") }
  return result
}

/// A file with the number of the case in progress, which outlives a crash.
private final class CaseRecord {
  private let descriptor: Int32

  init(_ path: String) throws {
    descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw FileError.system(path: path, operation: .write, code: errno)
    }
  }

  deinit { close(descriptor) }

  func write(_ number: Int) {
    let text = Array("\(number)\n".utf8)
    _ = unsafe text.withUnsafeBytes { unsafe pwrite(descriptor, $0.baseAddress, $0.count, 0) }
  }
}

/// Whether each of a file's inputs is accepted as a safetensors file, for comparison with another reader.
func verdicts(_ options: PartOptions) throws -> PartResult {
  guard let path = options.inputPath else { return PartResult(lines: ["verdicts needs --file"]) }
  let bytes = try readFile(path, limit: 1 << 30)
  let reader = try HostileInput(.header)
  var result = PartResult()
  var place = 0
  while place + 4 <= bytes.count {
    let count = bytes[place..<place + 4].reversed().reduce(0) { $0 << 8 | Int($1) }
    let end = min(place + 4 + count, bytes.count)
    result.lines.append(reader.accepts(Array(bytes[place + 4..<end])) ? "accepted" : "refused")
    result.caseCount += 1
    place = end
  }
  return result
}

/// Templates that try to do harm: each refused within a second.
func hostileTemplates(_ options: PartOptions) throws -> PartResult {
  var result = PartResult()
  var slowest = (seconds: 0.0, name: "")
  for template in HostileTemplate.all {
    let before = threadSeconds()
    do {
      _ = try ChatTemplate(source: template.source).render(
        [
          ChatMessage(role: .user, content: String(repeating: "ab ", count: 10_000)),
          ChatMessage(role: .assistant, content: "{{ 1 }}"),
        ], beginningOfSequence: "<s>", endOfSequence: "</s>",
        date: CalendarDate(year: 2025, month: 3, day: 9))
      result.fail("\(template.name): was rendered")
    } catch {
      if !"\(error)".unicodeScalars.allSatisfy(isSafeToDisplay) {
        result.fail("\(template.name): the error cannot be shown")
      }
    }
    let seconds = threadSeconds() - before
    if seconds > slowest.seconds { slowest = (seconds, template.name) }
    if seconds > MutationRun.timeLimit {
      result.fail("\(template.name): took \(decimal(seconds)) s")
    }
    result.caseCount += 1
  }
  result.lines.append("slowest: \(decimal(slowest.seconds, 3)) s, \(slowest.name)")
  return result
}

/// Weights cut off while a model is speaking, at random moments and places.
func truncations(_ options: PartOptions) throws -> PartResult {
  var result = PartResult()
  var generator = RandomGenerator(seed: options.seed)
  for number in 0..<options.count {
    let size = number % 2 == 0 ? 0 : Int(generator.next() % 4_000_000)
    let delay = UInt32(generator.next() % 20_000)
    let outcome = try TruncationTrial.run(size: size, delay: delay)
    result.caseCount += 1
    if !outcome.isAsPromised {
      result.fail(
        "cut to \(size) bytes after \(delay) us: code \(outcome.exitCode), \(outcome.error)")
    }
  }
  return result
}
