import DuetRuntime
import Foundation
import TestSupport
import Testing

/// Files from strangers: the corpus that fuzzing left, and a part of what `Scripts/torture` tries.
@Suite("Hostile input")
struct HostileInputTests {
  @Test("the examples are read", arguments: HostileKind.allCases)
  func readsTheExamples(kind: HostileKind) throws {
    let reader = try HostileInput(kind)
    let examples = try kind.examples()
    #expect(!examples.isEmpty)
    let accepted = examples.filter(reader.accepts).count
    // Some templates of the golden renderings refuse this conversation.
    if kind == .template { #expect(accepted > 8) } else { #expect(accepted == examples.count) }
  }

  /// Inputs kept from fuzzing, and those that once did harm: a crash would end the tests.
  @Test("inputs kept from fuzzing do no harm", arguments: HostileKind.allCases)
  func replaysTheCorpus(kind: HostileKind) throws {
    let folder = SharedData.project("Tests/Golden/fuzz/\(kind.rawValue)")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder)
    #expect(names.count >= 10)
    let reader = try HostileInput(kind)
    for name in names {
      let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)")))
      let before = threadSeconds()
      _ = reader.accepts(bytes)
      #expect(threadSeconds() - before < MutationRun.timeLimit, "\(kind) \(name)")
    }
  }

  @Test("mutated files are accepted or refused in time", arguments: HostileKind.allCases)
  func survivesMutations(kind: HostileKind) throws {
    let isSlow = kind == .tokenizer || kind == .sentencepiece || kind == .index
    let count = isSlow ? 1000 : 5000
    let outcome = try MutationRun(kind, seed: 1).run(0..<count)
    #expect(outcome.acceptedCount + outcome.refusedCount == count)
    // Mutations that all fail at the first byte, or none of which fails, would try nothing.
    #expect(outcome.acceptedCount > count / 200 && outcome.refusedCount > count / 10)
    #expect(outcome.hangCount == 0, "\(outcome)")
  }

  @Test("the same seed and number make the same case")
  func casesCanBeReplayed() throws {
    for kind in HostileKind.allCases {
      let (run, other) = (try MutationRun(kind, seed: 7), try MutationRun(kind, seed: 7))
      for number in [0, 1, 100, 999] { #expect(run.input(number) == other.input(number)) }
      #expect(run.input(100) != (try MutationRun(kind, seed: 8)).input(100))
    }
  }
}
