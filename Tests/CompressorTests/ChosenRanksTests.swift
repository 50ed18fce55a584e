import DuetCompressor
import DuetRuntime
import DuetText
import Foundation
import TestSupport
import Testing

/// Runs whose ranks are chosen for a number of bits.
@Suite("Chosen ranks")
struct ChosenRanksTests {
  private func fixture(bits: Double = 14) throws -> CompressionFixture {
    var fixture = try CompressionFixture()
    (fixture.plan.method, fixture.plan.initialization) = (.caldera, .lowRank)
    fixture.plan.targetBits = bits
    return fixture
  }

  private func bits(_ path: String) throws -> Double {
    let report = try JSONDocument(contentsOf: "\(path)/compression_report.json", limits: .smallFile)
    return try #require(report.root["totals"]?["linear_bits_per_weight"]?.double)
  }

  @Test("the model takes no more bits than asked, and the report and config.json have the ranks")
  func whole() throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/model"
    let fixture = try fixture()
    let summary = try fixture.run(to: path)
    #expect(try bits(path) <= 14)
    let ranks = Set(summary.records.map(\.rank))
    #expect(ranks.count > 1, "all ranks are alike")
    let model = try Model(contentsOf: path)
    let compression = try #require(model.configuration.compression)
    for record in summary.records {
      #expect(
        compression.rank(
          of: record.name, outputSize: record.outputSize, inputSize: record.inputSize)
          == record.rank)
    }
    // The forecast, which does not know the ranks, is within a step of them.
    let forecast = try CompressionForecast(fixture.checkpoint, plan: fixture.plan.made)
    #expect(forecast.bitsPerWeight <= 14)
  }

  @Test("a run that is stopped takes the ranks that it has chosen", arguments: [false, true])
  func resumed(isDamaged: Bool) throws {
    let folder = try TemporaryFolder()
    let (whole, path) = ("\(folder.path)/whole", "\(folder.path)/model")
    let fixture = try fixture()
    try fixture.run(to: whole)
    let first = StoppingObserver(afterMatrices: 3)
    #expect(try fixture.run(to: path, observer: first).isComplete == false)
    #expect(first.phases.contains(.analyzing(layer: 1)))
    let allocation = "\(path)/.compress/allocation.json"
    #expect(FileManager.default.fileExists(atPath: allocation))
    if isDamaged { try "{\"torn".write(toFile: allocation, atomically: true, encoding: .utf8) }
    let second = StoppingObserver()
    #expect(try fixture.run(to: path, observer: second, threadCount: 3).isComplete)
    // Known ranks are not measured again, unless their file is damaged.
    #expect(second.phases.contains(.analyzing(layer: 0)) == isDamaged)
    #expect(try CompressionFixture.result(in: path) == CompressionFixture.result(in: whole))
  }

  @Test("bits that cannot be met are refused before anything is measured")
  func refused() throws {
    let folder = try TemporaryFolder()
    let fixture = try fixture(bits: 1)
    #expect(throws: CompressionDataError.self) {
      _ = try CompressionForecast(fixture.checkpoint, plan: fixture.plan.made)
    }
    #expect(throws: CompressionError.self) {
      try fixture.run(to: "\(folder.path)/model")
    }
  }
}
