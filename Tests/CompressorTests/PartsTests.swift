import DuetCompressor
import DuetRuntime
import DuetSystem
import Foundation
import TestSupport
import Testing

extension CompressionFixture {
  private func compressor(_ threadCount: Int, denseFolder: String? = nil) throws -> Compressor {
    try Compressor(
      checkpoint, plan: plan.made,
      options: CompressorOptions(
        threadCount: threadCount, hiddenStatesLimit: threadCount % 2 == 0 ? 0 : .max,
        denseFolder: denseFolder))
  }

  @discardableResult
  func run(
    part index: Int, of count: Int, sharesStates: Bool = false, to path: String,
    observer: any CompressionObserver = QuietObserver(), threadCount: Int = 1
  ) throws -> CompressionSummary {
    let number = try #require(PartNumber(index, of: count))
    return try compressor(threadCount).run(
      part: number, sharesStates: sharesStates, to: path, samples: samples, observer: observer)
  }

  @discardableResult
  func saveStates(
    _ index: Int, of count: Int, to path: String,
    observer: any CompressionObserver = QuietObserver()
  ) throws -> CompressionSummary {
    let number = try #require(PartNumber(index, of: count))
    return try compressor(index).saveStates(
      share: number, to: path, samples: samples, observer: observer)
  }

  @discardableResult
  func merge(to path: String, denseFolder: String? = nil) throws -> CompressionSummary {
    try compressor(1, denseFolder: denseFolder).merge(
      to: path, samples: samples, observer: QuietObserver())
  }

  func parts(of path: String) throws -> [PartSummary] {
    try compressor(1).parts(of: path, samples: samples)
  }

  func forecast() throws -> CompressionForecast {
    try CompressionForecast(checkpoint, plan: plan.made)
  }
}

/// Models that are compressed in parts and joined: the bytes of one run.
@Suite("Parts of a model")
struct PartsTests {
  private let folder: TemporaryFolder
  private var whole: String { "\(folder.path)/whole" }
  private var path: String { "\(folder.path)/model" }

  init() throws { folder = try TemporaryFolder() }

  /// A model of four layers, and a plan that parts can be made by: three matrices of each layer, in little time.
  static func fixture(
    _ method: FlatPlan.Method = .rtn, layerCount: Int = 4, isTied: Bool = false
  ) throws -> CompressionFixture {
    var fixture = try CompressionFixture(layerCount: layerCount, isTied: isTied)
    fixture.plan.propagation = .original
    fixture.plan.method = method
    fixture.plan.refinementRounds = 0
    fixture.plan.keptNames = ["k_proj", "v_proj", "o_proj", "gate_proj"]
    if method == .caldera { fixture.plan.initialization = .lowRank }
    if method == .awq || method == .lqer {
      fixture.plan.incoherence = .none
      fixture.plan.format = .int4
    }
    return fixture
  }

  private func expectEqual(
    _ one: String, _ other: String, _ what: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let (result, expected) = try (
      CompressionFixture.result(in: one), CompressionFixture.result(in: other)
    )
    #expect(
      result.keys.sorted() == expected.keys.sorted(), "\(what)", sourceLocation: sourceLocation)
    #expect(expected.count >= 3, sourceLocation: sourceLocation)
    for (name, bytes) in expected {
      #expect(result[name] == bytes, "\(what): \(name)", sourceLocation: sourceLocation)
    }
  }

  /// Makes all parts, in an order that is not theirs, with other numbers of threads.
  private func makeParts(
    _ fixture: CompressionFixture, _ count: Int, sharesStates: Bool, to path: String
  ) throws {
    if sharesStates {
      for index in (1...count).reversed() {
        #expect(try fixture.saveStates(index, of: count, to: path).isComplete)
      }
    }
    for index in (1...count).reversed() {
      let summary = try fixture.run(
        part: index, of: count, sharesStates: sharesStates, to: path, threadCount: index % 3 + 1)
      #expect(summary.isComplete && summary.records.count == summary.matrixCount)
    }
  }

  // MARK: - The same bytes

  @Test("the parts of any number are joined to the bytes of one run")
  func anyCount() throws {
    let fixture = try Self.fixture()
    let expected = try fixture.run(to: whole)
    for (count, sharesStates) in (1...4).flatMap({ [($0, false), ($0, true)] }) {
      let path = "\(path)-\(count)-\(sharesStates)"
      try makeParts(fixture, count, sharesStates: sharesStates, to: path)
      let summary = try fixture.merge(to: path)
      #expect(summary.isComplete && summary.byteCount == expected.byteCount)
      #expect(summary.records == expected.records)
      try expectEqual(path, whole, "\(count) parts")
      #expect(!FileManager.default.fileExists(atPath: "\(path)/.compress"))
      #expect(FileManager.default.fileExists(atPath: "\(path).parts"))
    }
  }

  @Test(
    "every method's parts are joined to the bytes of one run",
    arguments: FlatPlan.Method.allCases)
  func methods(method: FlatPlan.Method) throws {
    var fixture = try Self.fixture(method, layerCount: 2)
    // Inputs are rescaled only where all matrices that multiply them are compressed.
    fixture.plan.keptNames = method == .awq ? [] : ["k_proj", "v_proj", "gate_proj"]
    try fixture.run(to: whole)
    try makeParts(fixture, 2, sharesStates: method.hasLowRank, to: path)
    try fixture.merge(to: path)
    try expectEqual(path, whole, method.rawValue)
  }

  @Test("kept matrices, packed embeddings and heads, tied or not", arguments: 0..<6)
  func tensors(index: Int) throws {
    var fixture = try Self.fixture(isTied: index >= 4)
    switch index {
    case 0: fixture.plan.keptNames = ["down_proj", "layers.0.self_attn.q_proj"]
    // A layer, and with it perhaps a part, without anything to compress.
    case 1: fixture.plan.keptNames += LayerTensors.matrices.map { $0.name(inLayer: 2) }
    case 2: fixture.plan.keptNames += ["lm_head"]
    case 3:
      fixture.plan.embeddingFormat = .int4
      fixture.plan.headFormat = .f16
    case 4: break
    default: fixture.plan.embeddingFormat = .int4
    }
    try fixture.run(to: whole)
    for count in [2, 4] {
      let path = "\(path)-\(count)"
      try makeParts(fixture, count, sharesStates: count == 2, to: path)
      try fixture.merge(to: path)
      try expectEqual(path, whole, "case \(index), \(count) parts")
    }
  }

  @Test("more shares of the states than samples")
  func fewSamples() throws {
    var fixture = try Self.fixture()
    fixture.plan.sampleCount = 3
    let samples = fixture.samples
    fixture.samples = try CalibrationSamples(
      tokens: (0..<3).flatMap { samples.tokens(of: $0) }, sources: [], sampleCount: 3,
      contextLength: 16, seed: 0)
    try fixture.run(to: whole)
    try makeParts(fixture, 4, sharesStates: true, to: path)
    try fixture.merge(to: path)
    try expectEqual(path, whole, "three samples")
  }

  @Test("dense weights are written from all parts")
  func denseWeights() throws {
    let fixture = try Self.fixture(.rtn)
    try fixture.run(to: whole, denseFolder: "\(whole)-dense")
    try makeParts(fixture, 2, sharesStates: false, to: path)
    try fixture.merge(to: path, denseFolder: "\(path)-dense")
    try expectEqual(path, whole, "packed")
    try expectEqual("\(path)-dense", "\(whole)-dense", "dense")
  }

  // MARK: - Interruptions

  @Test(
    "parts that are stopped after every matrix end with the same bytes", arguments: [false, true])
  func stopped(sharesStates: Bool) throws {
    let fixture = try Self.fixture(.gptq, layerCount: 3)
    try fixture.run(to: whole)
    if sharesStates {
      for index in 1...2 { try fixture.saveStates(index, of: 2, to: path) }
    }
    for index in 1...2 {
      var runs = 0
      while try !fixture.run(
        part: index, of: 2, sharesStates: sharesStates, to: path,
        observer: StoppingObserver(afterMatrices: 1), threadCount: runs % 3 + 1
      ).isComplete {
        runs += 1
        try #require(runs < 30)
        // The head of the last part is made by the run that finds all matrices.
        let problem = #expect(throws: CompressionError.self) { try fixture.merge(to: path) }
        #expect(problem?.category == .resumable)
      }
      #expect(runs >= 3)
    }
    try fixture.merge(to: path)
    try expectEqual(path, whole, "stopped")
  }

  @Test("parts that are stopped among the samples end with the same bytes", arguments: 1...6)
  func stoppedAmongSamples(kind: Int) throws {
    let fixture = try Self.fixture()
    try fixture.run(to: whole)
    // Eight samples; the second part runs them through the layers of the first, or through its own only.
    let steps = kind * 4 - 3
    let sharesStates = kind % 2 == 0
    if sharesStates {
      for index in 1...2 {
        let observer = StoppingObserver(afterSteps: kind)
        _ = try fixture.saveStates(index, of: 2, to: path, observer: observer)
        #expect(try fixture.saveStates(index, of: 2, to: path).isComplete)
      }
    }
    for index in 1...2 {
      let observer = StoppingObserver(afterSteps: steps)
      let summary = try fixture.run(
        part: index, of: 2, sharesStates: sharesStates, to: path, observer: observer)
      #expect(!summary.isComplete)
      #expect(
        try fixture.run(part: index, of: 2, sharesStates: sharesStates, to: path).isComplete)
    }
    try fixture.merge(to: path)
    try expectEqual(path, whole, "after \(steps) steps")
  }

  @Test("a complete part leaves no states, and is done again only where it was damaged")
  func completed() throws {
    let fixture = try Self.fixture()
    try makeParts(fixture, 2, sharesStates: false, to: path)
    let part = "\(path).parts/2-of-2"
    let names = try FileManager.default.contentsOfDirectory(atPath: "\(part)/.compress")
    #expect(names.sorted() == ["fingerprint.json", "lock", "parts"])
    let again = try fixture.run(part: 2, of: 2, to: path)
    #expect(again.isComplete && again.resumedCount == again.matrixCount)
    let file = "\(part)/.compress/parts/model.layers.3.mlp.up_proj.safetensors"
    try Data([0]).write(to: URL(fileURLWithPath: file))
    let state = try #require(try fixture.parts(of: path).last)
    #expect(!state.isComplete && state.description.hasPrefix("unfinished ("))
    // Reading the parts has changed nothing.
    #expect(try Data(contentsOf: URL(fileURLWithPath: file)) == Data([0]))
    let repaired = try fixture.run(part: 2, of: 2, to: path)
    #expect(repaired.isComplete && repaired.resumedCount == repaired.matrixCount - 1)
    try fixture.run(to: whole)
    try fixture.merge(to: path)
    try expectEqual(path, whole, "repaired")
  }
}
