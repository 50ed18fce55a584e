import DuetCompressor
import DuetRuntime
import Foundation
import TestSupport
import Testing

/// The same bytes whatever happens on the way.
@Suite("Resumed compressions")
struct CompressionResumeTests {
  private static func fixture(
    _ propagation: Propagation = .compressed
  ) throws -> CompressionFixture {
    var fixture = try CompressionFixture(layerCount: 3)
    fixture.plan.propagation = propagation
    // Rounding with feedback, which is quick: the journal does not know what it holds.
    fixture.plan.method = .gptq
    fixture.plan.refinementRounds = 0
    return fixture
  }

  /// The result of one run without interruption.
  private static func expected(_ fixture: CompressionFixture) throws -> [String: [UInt8]] {
    let folder = try TemporaryFolder()
    try fixture.run(to: "\(folder.path)/model")
    return try CompressionFixture.result(in: "\(folder.path)/model")
  }

  private func expectEqual(
    _ path: String, _ expected: [String: [UInt8]], _ what: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let result = try CompressionFixture.result(in: path)
    #expect(
      result.keys.sorted() == expected.keys.sorted(), "\(what)", sourceLocation: sourceLocation)
    for (name, bytes) in expected {
      #expect(result[name] == bytes, "\(what): \(name)", sourceLocation: sourceLocation)
    }
  }

  @Test("any number of threads gives the same bytes", arguments: [0, 1])
  func threads(index: Int) throws {
    var fixture = try CompressionFixture()
    if index == 1 {
      fixture.plan.format = .e8p
      fixture.plan.outlierStorage = .int8
      fixture.plan.initialization = .auto
    }
    let folder = try TemporaryFolder()
    let expected = try Self.expected(fixture)
    for threadCount in [1, 2, 3, 4] {
      let path = "\(folder.path)/\(threadCount)"
      try fixture.run(
        to: path, threadCount: threadCount, hiddenStatesLimit: threadCount % 2 == 0 ? 0 : .max)
      try expectEqual(path, expected, "\(threadCount) threads")
    }
  }

  @Test(
    "a run stopped after every matrix ends with the same bytes",
    arguments: Propagation.allCases)
  func afterEveryMatrix(propagation: Propagation) throws {
    let fixture = try Self.fixture(propagation)
    let expected = try Self.expected(fixture)
    let folder = try TemporaryFolder()
    var runCount = 0
    while true {
      let summary = try fixture.run(
        to: folder.path, observer: StoppingObserver(afterMatrices: 1),
        threadCount: runCount % 3 + 1, hiddenStatesLimit: runCount % 2 == 0 ? 0 : .max)
      runCount += 1
      if summary.isComplete { break }
      try #require(runCount < 30)
      #expect(summary.records.count == runCount && summary.resumedCount == runCount - 1)
      #expect(summary.byteCount == 0 && summary.matrixCount == 21)
      #expect(!FileManager.default.fileExists(atPath: "\(folder.path)/config.json"))
    }
    // 21 matrices; the last run finds all of them and makes the head.
    #expect(runCount == 22)
    try expectEqual(folder.path, expected, "22 runs")
  }

  @Test(
    "a run stopped among the samples ends with the same bytes", arguments: [1, 5, 9, 20, 30, 44])
  func duringCalibration(steps: Int) throws {
    let fixture = try Self.fixture()
    let expected = try Self.expected(fixture)
    let folder = try TemporaryFolder()
    #expect(
      try !fixture.run(to: folder.path, observer: StoppingObserver(afterSteps: steps)).isComplete)
    #expect(try fixture.run(to: folder.path).isComplete)
    try expectEqual(folder.path, expected, "after \(steps) steps")
  }

  @Test("a part that is lost after later layers were begun is made again")
  func lostPart() throws {
    let fixture = try Self.fixture()
    let expected = try Self.expected(fixture)
    for name in ["model.layers.0.mlp.up_proj", "model.layers.1.self_attn.q_proj"] {
      let folder = try TemporaryFolder()
      try fixture.run(to: folder.path, observer: StoppingObserver(afterMatrices: 16))
      let part = "\(folder.path)/.compress/parts/\(name).safetensors"
      try Data([0]).write(to: URL(fileURLWithPath: part))
      #expect(FileManager.default.fileExists(atPath: "\(folder.path)/.compress/hidden-2"))
      let summary = try fixture.run(to: folder.path)
      #expect(summary.isComplete && summary.resumedCount == 15)
      #expect(summary.records.count == 21)
      try expectEqual(folder.path, expected, name)
    }
  }
}
