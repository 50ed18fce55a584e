import DuetCompressor
import DuetRuntime
import DuetSystem
import Foundation
import TestSupport
import Testing

/// Does something once, after so many matrices of a run.
private final class ActingObserver: CompressionObserver {
  private var matrices: Int
  private let act: () throws -> Void
  private(set) var refused: [String] = []
  private(set) var failure: (any Error)?

  init(afterMatrices matrices: Int = .max, _ act: @escaping () throws -> Void = {}) {
    self.matrices = matrices
    self.act = act
  }

  func finished(_ record: MatrixRecord, seconds: Double?) {
    matrices -= 1
    if matrices == 0 { do { try act() } catch { failure = error } }
  }
  func refusedPart(of name: String) { refused.append(name) }
}

/// Runs whose folder is removed, and given to another run, before they have ended.
@Suite("Runs that lose their folder")
struct TakenOverRunTests {
  private let folder: TemporaryFolder
  private var path: String { "\(folder.path)/model" }
  private var densePath: String { "\(folder.path)/dense" }

  init() throws { folder = try TemporaryFolder() }

  /// A model that is compressed in little time.
  private func fixture(
    change: (inout TinyCheckpoint) -> Void = { _ in },
    configure: (inout Configuration) -> Void = { _ in }
  ) throws -> CompressionFixture {
    var fixture = try CompressionFixture(change: change, configure: configure)
    fixture.plan.method = .rtn
    return fixture
  }

  /// A model of the same shape, with other weights.
  private func other() throws -> CompressionFixture {
    try fixture { tiny in
      tiny.tensors = tiny.tensors.mapValues { ($0.shape, $0.values.map { 0.75 * $0 }) }
    }
  }

  private func expectLost(_ error: CompressionError?, at path: String) {
    #expect(error?.underlying as? FileError == .lockLost(path: path))
    #expect(error?.category == .resumable)
  }

  @Test("a run whose folder was removed ends and makes nothing", arguments: [1, 6, 7, 13, 14])
  func removed(matrices: Int) throws {
    let fixture = try fixture()
    let observer = ActingObserver(afterMatrices: matrices) { [path] in
      try FileManager.default.removeItem(atPath: path)
    }
    let error = #expect(throws: CompressionError.self) {
      try fixture.run(to: path, observer: observer)
    }
    expectLost(error, at: path)
    #expect(observer.failure == nil)
    #expect(!FileManager.default.fileExists(atPath: path))
  }

  @Test("a run that is stopped after its folder was removed says so")
  func stopped() throws {
    let fixture = try fixture()
    final class Both: CompressionObserver {
      let path: String
      var isCancelled = false
      init(_ path: String) { self.path = path }
      func finished(_ record: MatrixRecord, seconds: Double?) {
        try? FileManager.default.removeItem(atPath: path)
        isCancelled = true
      }
    }
    let error = #expect(throws: CompressionError.self) {
      try fixture.run(to: path, observer: Both(path))
    }
    expectLost(error, at: path)
  }

  @Test(
    "a run that finds another one in its folder ends and leaves its files alone",
    arguments: [1, 7, 13, 14], [false, true])
  func replaced(matrices: Int, isFinished: Bool) throws {
    let (fixture, other) = (try fixture(), try other())
    let expected = "\(folder.path)/expected"
    try other.run(to: expected)
    var before: [String: [UInt8]] = [:]
    let observer = ActingObserver(afterMatrices: matrices) { [path] in
      try FileManager.default.removeItem(atPath: path)
      // The other run ends, or is stopped half way.
      try other.run(
        to: path, observer: StoppingObserver(afterMatrices: isFinished ? .max : 4))
      before = try files(in: path)
    }
    let error = #expect(throws: CompressionError.self) {
      try fixture.run(to: path, observer: observer)
    }
    expectLost(error, at: path)
    #expect(observer.failure == nil)
    #expect(try files(in: path) == before)
    if !isFinished { try other.run(to: path) }
    #expect(try CompressionFixture.result(in: path) == CompressionFixture.result(in: expected))
  }

  @Test("the folder of the dense model can be lost too", arguments: [1, 14])
  func dense(matrices: Int) throws {
    let fixture = try fixture()
    let observer = ActingObserver(afterMatrices: matrices) { [densePath] in
      try FileManager.default.removeItem(atPath: densePath)
    }
    let error = #expect(throws: CompressionError.self) {
      try fixture.run(to: path, observer: observer, denseFolder: densePath)
    }
    expectLost(error, at: densePath)
    #expect(!FileManager.default.fileExists(atPath: densePath))
    // The compression itself can be resumed.
    #expect(try fixture.run(to: path, denseFolder: densePath).isComplete)
  }

  @Test("files of another run are not used, whatever their shape", arguments: [48, 32])
  func foreignFiles(hiddenSize: Int) throws {
    let fixture = try fixture()
    let (whole, foreign) = ("\(folder.path)/whole", "\(folder.path)/foreign")
    let wholeDense = "\(folder.path)/whole-dense"
    #expect(try fixture.run(to: whole, denseFolder: wholeDense).isComplete)
    // A run of other weights, and one of another shape, stopped in the second layer.
    var other = try other()
    if hiddenSize != 48 {
      other = try self.fixture(configure: {
        $0.hiddenSize = hiddenSize
        $0.headSize = hiddenSize / 4
      })
    }
    try other.run(
      to: foreign, observer: StoppingObserver(afterMatrices: 9),
      denseFolder: "\(folder.path)/foreign-dense")
    try fixture.run(
      to: path, observer: StoppingObserver(afterMatrices: 2), denseFolder: densePath)
    let manager = FileManager.default
    for name in try manager.contentsOfDirectory(atPath: "\(foreign)/.compress")
    where name.hasPrefix("hidden-") || name.hasPrefix("original-") {
      try manager.copyItem(
        atPath: "\(foreign)/.compress/\(name)", toPath: "\(path)/.compress/\(name)")
    }
    let parts = try manager.contentsOfDirectory(atPath: "\(foreign)/.compress/parts")
    #expect(parts.count == 9)
    for name in parts {
      // Into the journal of the dense model too, under the names of its own parts.
      for target in ["\(path)/.compress/parts/\(name)", "\(densePath)/.compress/parts/\(name)"] {
        try? manager.removeItem(atPath: target)
        try manager.copyItem(atPath: "\(foreign)/.compress/parts/\(name)", toPath: target)
      }
    }
    let observer = ActingObserver()
    let summary = try fixture.run(to: path, observer: observer, denseFolder: densePath)
    #expect(summary.isComplete && summary.resumedCount == 0)
    #expect(observer.refused.count == 9 && Set(observer.refused).count == 9)
    #expect(try CompressionFixture.result(in: path) == CompressionFixture.result(in: whole))
    #expect(try files(in: densePath) == files(in: wholeDense))
  }

  @Test("residual streams of another run are not used")
  func foreignStreams() throws {
    var (fixture, other) = (try fixture(), try other())
    // Its results depend on the streams.
    (fixture.plan.method, fixture.plan.refinementRounds) = (.gptq, 0)
    (other.plan.method, other.plan.refinementRounds) = (.gptq, 0)
    let (whole, foreign) = ("\(folder.path)/whole", "\(folder.path)/foreign")
    try fixture.run(to: whole)
    // Both are stopped in the second layer, so that the streams after the first one are saved.
    try other.run(to: foreign, observer: StoppingObserver(afterMatrices: 9))
    try fixture.run(to: path, observer: StoppingObserver(afterMatrices: 9))
    let manager = FileManager.default
    let names = try manager.contentsOfDirectory(atPath: "\(foreign)/.compress").filter {
      $0.hasPrefix("hidden-") || $0.hasPrefix("original-")
    }
    #expect(names.contains("hidden-1"))
    for name in names {
      try manager.removeItem(atPath: "\(path)/.compress/\(name)")
      try manager.copyItem(
        atPath: "\(foreign)/.compress/\(name)", toPath: "\(path)/.compress/\(name)")
    }
    let summary = try fixture.run(to: path)
    #expect(summary.isComplete && summary.resumedCount == 9)
    #expect(try CompressionFixture.result(in: path) == CompressionFixture.result(in: whole))
  }

  @Test("ranks that another run has chosen are not used")
  func foreignRanks() throws {
    var (fixture, other) = (try fixture(), try other())
    fixture.plan.method = .odlri
    other.plan.method = .odlri
    fixture.plan.targetBits = 14
    other.plan.targetBits = 12
    let (whole, foreign) = ("\(folder.path)/whole", "\(folder.path)/foreign")
    try fixture.run(to: whole)
    try other.run(to: foreign, observer: StoppingObserver(afterMatrices: 1))
    try fixture.run(to: path, observer: StoppingObserver(afterMatrices: 1))
    let name = ".compress/allocation.json"
    try FileManager.default.removeItem(atPath: "\(path)/\(name)")
    try FileManager.default.copyItem(atPath: "\(foreign)/\(name)", toPath: "\(path)/\(name)")
    let second = StoppingObserver()
    #expect(try fixture.run(to: path, observer: second).isComplete)
    #expect(second.phases.contains(.analyzing(layer: 0)))
    #expect(try CompressionFixture.result(in: path) == CompressionFixture.result(in: whole))
  }

  @Test("every change of a folder is refused without the lock")
  func operations() throws {
    let output = try OutputFolder(path, source: "/nowhere")
    #expect(output.lockLoss == nil)
    let state = "\(path)/.compress"
    try FileManager.default.removeItem(atPath: "\(state)/lock")
    let lost = FileError.lockLost(path: path)
    // Also with a file of that name that is not the one that was locked.
    for isReplaced in [false, true] {
      if isReplaced {
        #expect(FileManager.default.createFile(atPath: "\(state)/lock", contents: nil))
      }
      #expect(output.lockLoss == lost)
      let operations = output.operations
      #expect(throws: lost) { try operations.makeFolders("\(state)/new") }
      #expect(throws: lost) { try operations.rename("\(state)/lock", to: "\(state)/other") }
      #expect(throws: lost) { try operations.remove("\(state)/lock") }
      #expect(throws: lost) { try AtomicFile.write([1], to: "\(state)/a", operations: operations) }
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: state) == ["lock"])
    #expect(lost.category == .resumable)
  }

  @Test("a run that has ended has no lock to lose")
  func ended() throws {
    let output = try OutputFolder(path, source: "/nowhere")
    try FileManager.default.createDirectory(
      atPath: output.assemblyPath, withIntermediateDirectories: false)
    try Data("{}".utf8).write(to: URL(fileURLWithPath: "\(output.assemblyPath)/config.json"))
    try output.markReady()
    #expect(output.lockLoss == nil)
    // The lock file goes with the state of the run.
    try output.moveIntoPlace()
    #expect(output.lockLoss == nil)
    #expect(try FileManager.default.contentsOfDirectory(atPath: path) == ["config.json"])
  }
}
