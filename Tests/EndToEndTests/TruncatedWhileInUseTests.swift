import TestSupport
import Testing

/// Weights that another program shortens while a model is speaking; `Scripts/torture` does it a hundred
/// times.
@Suite("Weights truncated while in use")
struct TruncatedWhileInUseTests {
  @Test("the program ends with a sentence", arguments: [0, 4096, 1_000_000])
  func endsWithASentence(size: Int) throws {
    let outcome = try TruncationTrial.run(size: size)
    #expect(outcome.isAsPromised, "\(outcome)")
  }

  @Test("without mapping the program goes on")
  func goesOnWithoutMapping() throws {
    let outcome = try TruncationTrial.run(size: 0, options: ["--no-mmap"])
    #expect(outcome.exitCode == 0, "\(outcome)")
    #expect(outcome.error == "")
  }
}
