import DuetCompressor
import DuetRuntime
import DuetSystem
import Foundation
import TestSupport
import Testing

/// Compressed models as dense checkpoints again.
@Suite("Dense export")
struct DenseExportTests {
  private func halves(_ tensor: StoredTensor) -> [Float16] {
    let bytes = tensor.byteArray
    return stride(from: 0, to: bytes.count, by: 2).map {
      Float16(bitPattern: UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8)
    }
  }

  @Test(
    "dense weights are those of Scripts/decode.py in F16, all else is as it was",
    .enabled(if: DecodeScript.isAvailable, "needs python3 with numpy and safetensors"),
    arguments: IncoherenceSides.allCases)
  func values(sides: IncoherenceSides) throws {
    var fixture = try CompressionFixture()
    fixture.plan.incoherence = sides
    fixture.plan.keptNames = ["layers.0.mlp.up_proj"]
    if sides == .both {
      fixture.plan.outlierStorage = .int8
      fixture.plan.initialization = .zero
    }
    let folder = try TemporaryFolder()
    let (path, densePath) = ("\(folder.path)/model", "\(folder.path)/dense")
    #expect(try fixture.run(to: path, denseFolder: densePath).isComplete)
    let dense = try Checkpoint(contentsOf: densePath)
    #expect(dense.names == fixture.checkpoint.names)
    let decoded = try DecodeScript.weights(of: path)
    #expect(decoded.count == 14)
    for name in dense.names {
      let tensor = try #require(try dense.tensor(named: name))
      let source = try #require(try fixture.checkpoint.tensor(named: name))
      #expect(tensor.shape == source.shape)
      guard let expected = decoded[String(name.dropLast(".weight".count))] else {
        #expect(tensor.elementType == .f32 && tensor.byteArray == source.byteArray, "\(name)")
        continue
      }
      #expect(tensor.elementType == .f16)
      for (half, value) in zip(halves(tensor), expected) {
        // Half a unit in the last place, and what two rotations in F32 are off by, as in the comparison of
        // matrices: 2 (20^1.5 + 2) * 2^-24.
        let bound = Float(half.ulp) / 2 + 2 * 92 * 6e-8
        if abs(Float(half) - value) > bound {
          Issue.record("\(name): \(half) for \(value)")
          break
        }
      }
    }
    let (copies, originals) = (try files(in: densePath), try files(in: fixture.source.path))
    #expect(copies.keys.sorted() == originals.keys.sorted())
    for name in ["config.json", "tokenizer.json"] { #expect(copies[name] == originals[name]) }
    #expect(!FileManager.default.fileExists(atPath: "\(densePath)/.compress"))
    _ = try Model(dense)
  }

  @Test("a stopped export goes on, and both folders end as without the stop")
  func resume() throws {
    var fixture = try CompressionFixture(isTied: true)
    fixture.plan.method = .rtn
    fixture.plan.refinementRounds = 0
    let folder = try TemporaryFolder()
    func paths(_ name: String) -> (String, String) {
      ("\(folder.path)/\(name)", "\(folder.path)/\(name)-dense")
    }
    let (whole, wholeDense) = paths("whole")
    try fixture.run(to: whole, denseFolder: wholeDense)
    let (path, dense) = paths("stopped")
    let observer = StoppingExport(afterMatrices: 3)
    #expect(try !fixture.run(to: path, observer: observer, denseFolder: dense).isComplete)
    for unfinished in [path, dense] {
      #expect(!FileManager.default.fileExists(atPath: "\(unfinished)/config.json"))
    }
    #expect(try fixture.run(to: path, denseFolder: dense).isComplete)
    for (one, other) in [(path, whole), (dense, wholeDense)] {
      #expect(try CompressionFixture.result(in: one) == CompressionFixture.result(in: other))
    }
  }

  @Test("folders that overlap or are not empty are refused")
  func refusals() throws {
    let fixture = try CompressionFixture()
    let folder = try TemporaryFolder()
    func category(_ path: String, _ dense: String) -> FailureCategory? {
      #expect(throws: CompressionError.self) { try fixture.run(to: path, denseFolder: dense) }?
        .category
    }
    let output = "\(folder.path)/out"
    #expect(category(output, output) == .usage)
    #expect(category(output, "\(output)/dense") == .usage)
    #expect(category("\(folder.path)/out", folder.path) == .usage)
    #expect(category(output, fixture.source.path) == .usage)
    #expect(category(output, "\(fixture.source.path)/dense") == .usage)
    try folder.write("file", "text")
    #expect(category("\(folder.path)/other", folder.path) == .usage)
  }
}

/// Stops a run after so many exported matrices.
private final class StoppingExport: CompressionObserver {
  private var isExporting = false
  private var left: Int

  init(afterMatrices count: Int) { left = count }

  func phaseBegan(_ phase: CompressionPhase) { isExporting = phase == .exporting }
  func progressed(_ done: Int, of total: Int) { if isExporting { left -= 1 } }
  func finished(_ record: MatrixRecord, seconds: Double?) {}
  var isCancelled: Bool { left <= 0 }
}
