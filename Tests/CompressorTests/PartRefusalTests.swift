import DuetCompressor
import DuetRuntime
import DuetSystem
import Foundation
import TestSupport
import Testing

/// Parts that cannot be made or joined, each refused in one sentence.
@Suite("Refused parts")
struct PartRefusalTests {
  private let folder: TemporaryFolder
  private var path: String { "\(folder.path)/model" }

  init() throws { folder = try TemporaryFolder() }

  private func fixture() throws -> CompressionFixture { try PartsTests.fixture(.rtn) }

  /// Checks that work is refused, and writes nothing to the output.
  private func expectRefusal(
    _ category: FailureCategory, _ texts: String...,
    sourceLocation: SourceLocation = #_sourceLocation, _ work: () throws -> Void
  ) {
    let error = #expect(
      throws: CompressionError.self, sourceLocation: sourceLocation, performing: work)
    #expect(error?.category == category, sourceLocation: sourceLocation)
    for text in texts {
      #expect(
        error?.description.contains(text) == true, "\(error?.description ?? "") without \(text)",
        sourceLocation: sourceLocation)
    }
    #expect(
      !FileManager.default.fileExists(atPath: path), sourceLocation: sourceLocation)
  }

  @Test("plans by which parts depend on each other")
  func plans() throws {
    for propagation in [Propagation.compressed, .corrected] {
      var fixture = try fixture()
      fixture.plan.propagation = propagation
      let sentence = "not with \(propagation.rawValue)"
      expectRefusal(.usage, sentence) { try fixture.run(part: 1, of: 2, to: path) }
      expectRefusal(.usage, sentence) { try fixture.saveStates(1, of: 2, to: path) }
      expectRefusal(.usage, sentence) { try fixture.merge(to: path) }
    }
    var ranks = try PartsTests.fixture(.caldera)
    ranks.plan.targetBits = 3.5
    expectRefusal(.usage, "--target-bits") { try ranks.run(part: 1, of: 2, to: path) }
    #expect(!FileManager.default.fileExists(atPath: "\(path).parts"))
  }

  @Test("more parts than layers, and outputs without a name or in the source")
  func places() throws {
    let fixture = try fixture()
    expectRefusal(.usage, "at most 4 parts") { try fixture.run(part: 1, of: 5, to: path) }
    for output in [".", "/", "..", "\(folder.path)/.", "a/.."] {
      expectRefusal(.usage, "by its name") { try fixture.run(part: 1, of: 2, to: output) }
    }
    let source = fixture.source.path
    expectRefusal(.usage, "the model itself") { try fixture.run(part: 1, of: 2, to: source) }
    expectRefusal(.usage, "inside the model") {
      try fixture.run(part: 1, of: 2, to: "\(source)/out")
    }
  }

  @Test("an output that ends in slashes has the same parts")
  func slashes() throws {
    let fixture = try fixture()
    try fixture.run(part: 1, of: 2, to: "\(path)//")
    #expect(FileManager.default.fileExists(atPath: "\(path).parts/1-of-2"))
  }

  @Test("numbers of parts")
  func numbers() {
    #expect(PartNumber(reading: "2/6").map { [$0.index, $0.count] } == [2, 6])
    #expect(PartNumber(reading: "6/6")?.description == "6/6")
    let wrong = [
      "", "/", "1", "0/6", "7/6", "-1/6", "+1/6", "1/", "/6", "1/6/2", "1 /6", "a/b", "1.0/6",
      "1/99999999999999999999",
    ]
    for text in wrong { #expect(PartNumber(reading: text) == nil, "\(text)") }
  }

  @Test("missing, unfinished, foreign and damaged parts are all named")
  func incomplete() throws {
    let fixture = try fixture()
    expectRefusal(.resumable, "there are no parts") { try fixture.merge(to: path) }
    try fixture.run(part: 1, of: 4, to: path)
    _ = try fixture.run(part: 3, of: 4, to: path, observer: StoppingObserver(afterMatrices: 2))
    var other = fixture
    other.plan.seed = 99
    try other.run(part: 4, of: 4, to: path)
    expectRefusal(
      .resumable, "part 2/4 is missing", "part 3/4 is unfinished (2 of 3)",
      "part 4/4 is of another run (plan.seed (then 99, now 3))", "run compress --part again"
    ) { try fixture.merge(to: path) }
    #expect(
      try fixture.parts(of: path).map(\.isComplete) == [true, false, false, false])
    // A part that is of another run is not mixed with this one.
    expectRefusal(.resumable, "plan.seed") { try fixture.run(part: 4, of: 4, to: path) }
    try folder.write("model.parts/4-of-4/.compress/fingerprint.json", "{")
    expectRefusal(.resumable, "part 4/4 is damaged") { try fixture.merge(to: path) }
    // The folder of another part under this name.
    try FileManager.default.removeItem(atPath: "\(path).parts/4-of-4")
    try FileManager.default.copyItem(
      atPath: "\(path).parts/1-of-4", toPath: "\(path).parts/4-of-4")
    expectRefusal(.resumable, "part 4/4 is of another run (part (then 1/4, now 4/4))") {
      try fixture.merge(to: path)
    }
  }

  @Test("a matrix of another part, or of another run, counts as missing")
  func strangeMatrix() throws {
    let fixture = try fixture()
    for index in 1...2 { try fixture.run(part: index, of: 2, to: path) }
    var other = fixture
    other.plan.seed = 99
    let otherPath = "\(folder.path)/other"
    try other.run(part: 2, of: 2, to: otherPath)
    let name = ".parts/2-of-2/.compress/parts/model.layers.3.mlp.up_proj.safetensors"
    try FileManager.default.removeItem(atPath: path + name)
    try FileManager.default.copyItem(atPath: otherPath + name, toPath: path + name)
    expectRefusal(.resumable, "part 2/2 is unfinished (") { try fixture.merge(to: path) }
  }

  @Test("parts of several divisions, and parts that leave a layer out")
  func divisions() throws {
    var fixture = try fixture()
    // So many tokens that the samples' way to the second part is most of its cost.
    fixture.plan.sampleCount = 24
    fixture.samples = try CalibrationSamples(
      tokens: (0..<400).map { $0 * $0 % 97 }, sources: [], sampleCount: 24, contextLength: 16,
      seed: 0)
    try fixture.run(part: 1, of: 2, to: path)
    try fixture.run(part: 1, of: 3, to: path)
    expectRefusal(.resumable, "parts of 2 and of 3") { try fixture.merge(to: path) }
    try FileManager.default.removeItem(atPath: "\(path).parts")
    let forecast = try fixture.forecast()
    let (own, shared) = try (
      forecast.parts(2, sharesStates: false), forecast.parts(2, sharesStates: true)
    )
    // The samples' way to the second part counts in one of the two divisions only.
    try #require(own[0].layers != shared[0].layers)
    for index in 1...2 { try fixture.saveStates(index, of: 2, to: path) }
    try fixture.run(part: 1, of: 2, to: path)
    try fixture.run(part: 2, of: 2, sharesStates: true, to: path)
    expectRefusal(.resumable, "make all of them in the same way") { try fixture.merge(to: path) }
  }

  @Test("states that are missing, unfinished or of another run")
  func states() throws {
    let fixture = try fixture()
    func part() throws { try fixture.run(part: 3, of: 3, sharesStates: true, to: path) }
    expectRefusal(.resumable, "share of the states 1/3 is missing") { try part() }
    try fixture.saveStates(1, of: 3, to: path)
    _ = try fixture.saveStates(2, of: 3, to: path, observer: StoppingObserver(afterSteps: 4))
    var other = fixture
    other.plan.damping = 0.5
    try other.saveStates(3, of: 3, to: path)
    expectRefusal(
      .resumable, "states 2/3 is unfinished (", "states 3/3 is of another run (plan.damping",
      "run compress states --part again"
    ) { try part() }
    // The first part begins with the embedding, and needs none.
    #expect(
      try fixture.run(part: 1, of: 3, sharesStates: true, to: path).isComplete)
    try FileManager.default.removeItem(atPath: "\(path).parts/states-3-of-3")
    for index in 2...3 { try fixture.saveStates(index, of: 3, to: path) }
    try part()
  }

  @Test("weights of a part that are not numbers are named before it begins")
  func nonFinite() throws {
    let name = "model.layers.2.mlp.gate_proj"
    var fixture = try CompressionFixture(layerCount: 4) {
      $0.tensors["\(name).weight"]?.values[5] = .nan
    }
    fixture.plan = try self.fixture().plan
    expectRefusal(.numerical, name) { try fixture.run(part: 4, of: 4, to: path) }
    expectRefusal(.numerical, name) { try fixture.run(part: 3, of: 4, to: path) }
    #expect(try fixture.run(part: 1, of: 4, to: path).isComplete)
  }
}
