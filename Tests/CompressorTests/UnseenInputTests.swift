import DuetCompressor
import DuetRuntime
import DuetSystem
import Foundation
import TestSupport
import Testing

/// Inputs of matrices that are zero on all samples: some of a matrix's, or all of them.
@Suite("Unseen inputs")
struct UnseenInputTests {
  /// Options that every method can have, so that all methods store the same format.
  private func fixture(
    _ method: FlatPlan.Method, _ format: WeightFormat = .int4, _ sides: IncoherenceSides = .none,
    grid: GridKind = .symmetric, change: (inout TinyCheckpoint) -> Void
  ) throws -> CompressionFixture {
    var fixture = try CompressionFixture(layerCount: 1, change: change)
    fixture.plan.method = method
    fixture.plan.format = format
    fixture.plan.grid = grid
    fixture.plan.incoherence = sides
    fixture.plan.initialization = method == .odlri ? .odlri : .zero
    if method != .odlri, method != .caldera { fixture.plan.refinementRounds = 0 }
    if method == .awq { fixture.plan.propagation = .original }
    fixture.plan.outerIterations = 1
    fixture.plan.innerIterations = 1
    if method == .lordq {
      fixture.plan.rank = 24
      fixture.plan.factorRounding = .feedback
    }
    return fixture
  }

  /// Some of the 48 inputs of q, k and v.
  private static let dead = [0, 1, 7, 20, 21, 22, 33, 40, 46, 47]

  private static func kill(_ tiny: inout TinyCheckpoint) {
    for index in dead { tiny.tensors["model.layers.0.input_layernorm.weight"]?.values[index] = 0 }
  }

  /// The dense weights of a matrix after compression, and the records of all matrices.
  private func compress(
    _ fixture: CompressionFixture, _ name: String
  ) throws -> (weights: [Float], records: [MatrixRecord]) {
    let folder = try TemporaryFolder()
    let dense = "\(folder.path)/dense"
    let summary = try fixture.run(to: "\(folder.path)/model", denseFolder: dense)
    #expect(summary.isComplete)
    let record = try #require(summary.records.first { $0.name.hasSuffix(name) })
    let tensor = try Checkpoint(contentsOf: dense).tensor(
      named: "\(record.name).weight", shape: [record.outputSize, record.inputSize])
    let matrix = Matrix(
      widening: tensor, rowCount: record.outputSize, columnCount: record.inputSize)
    return ((0..<matrix.elements.count).map { matrix.elements[$0] }, summary.records)
  }

  /// |a - b| / |b| over the columns of a matrix that `belongs` chooses.
  private func error(
    _ a: [Float], _ b: [Float], width: Int, _ belongs: (Int) -> Bool
  ) -> Double {
    var (difference, square) = (0.0, 0.0)
    for index in b.indices where belongs(index % width) {
      difference += pow(Double(a[index]) - Double(b[index]), 2)
      square += pow(Double(b[index]), 2)
    }
    return (difference / square).squareRoot()
  }

  @Test(
    "rounding to nearest rounds the weights of dead inputs like all others",
    arguments: [
      (.int2, .symmetric), (.int3, .symmetric), (.int4, .symmetric), (.e8p, .symmetric),
      (.int4, .asymmetric),
    ] as [(WeightFormat, GridKind)], IncoherenceSides.allCases)
  func deadColumns(format: (WeightFormat, GridKind), sides: IncoherenceSides) throws {
    let dead = Self.dead
    let fixture = try fixture(.rtn, format.0, sides, grid: format.1, change: Self.kill)
    for name in ["q_proj", "k_proj", "v_proj"] {
      let (weights, records) = try compress(fixture, name)
      let record = try #require(records.first { $0.name.hasSuffix(name) })
      let source = try fixture.weight(record)
      let (ofDead, ofLive) = (
        error(weights, source, width: 48) { dead.contains($0) },
        error(weights, source, width: 48) { !dead.contains($0) }
      )
      // Weights of 10 and of 38 columns, all of the same distribution: at least 240 numbers each, whose
      // errors have a standard deviation of their mean square, so the ratio is off by about 0.1.
      #expect(ofDead < 1.4 * ofLive && ofLive < 1.4 * ofDead, "\(name): \(ofDead), \(ofLive)")
      #expect(!record.inputsAreZero)
    }
  }

  @Test("AWQ keeps the weights of dead inputs, up to a factor")
  func deadColumnsOfAWQ() throws {
    let fixture = try fixture(.awq, grid: .asymmetric, change: Self.kill)
    for name in ["q_proj", "k_proj", "v_proj"] {
      let (weights, records) = try compress(fixture, name)
      let source = try fixture.weight(try #require(records.first { $0.name.hasSuffix(name) }))
      var (product, square, original) = (0.0, 0.0, 0.0)
      for index in source.indices where Self.dead.contains(index % 48) {
        let (x, y) = (Double(weights[index]), Double(source[index]))
        (product, square, original) = (product + x * y, square + x * x, original + y * y)
      }
      // The norm, which would undo the factor, is zero. Uniform numbers of a root mean square of 0.58 f of
      // the largest, f the factor, in steps of 2/15 of it: errors of 0.038, so for f = 0.4 a cosine of 0.987.
      let cosine = product / (square * original).squareRoot()
      #expect(cosine > 0.9, "\(name): \(cosine)")
    }
  }

  @Test(
    "a matrix without inputs is compressed as if all weights counted the same",
    arguments: FlatPlan.Method.allCases)
  func allZero(method: FlatPlan.Method) throws {
    for sides in method == .awq ? [.none] : [IncoherenceSides.none, .both] {
      let fixture = try fixture(method, .int4, sides) { tiny in
        tiny.tensors["model.layers.0.mlp.up_proj.weight"]?.values =
          [Float](repeating: 0, count: 80 * 48)
      }
      let (weights, records) = try compress(fixture, "down_proj")
      #expect(records.map(\.inputsAreZero) == [false, false, false, false, false, false, true])
      let record = try #require(records.last)
      let found = error(weights, try fixture.weight(record), width: 80) { _ in true }
      // Uniform weights at four bits: steps of a sixteenth of the range, so an error of a sixteenth.
      // L R alone, at most the whole.
      #expect(method.hasQuantized ? found < 0.1 : found < 1, "\(sides): \(found)")
      #expect(abs(record.relativeError - found) < 0.02 * found + 1e-3)
    }
  }

  @Test("without inputs, feedback is rounding to nearest")
  func feedback() throws {
    let results = try [FlatPlan.Method.rtn, .gptq].map { method in
      try compress(
        fixture(method) { tiny in
          tiny.tensors["model.layers.0.mlp.up_proj.weight"]?.values =
            [Float](repeating: 0, count: 80 * 48)
        }, "down_proj"
      ).weights
    }
    #expect(results[0] == results[1])
  }

  @Test("heads and attentions without inputs, and bits to be chosen, are no obstacle")
  func others() throws {
    var fixture = try CompressionFixture(layerCount: 1) { tiny in
      tiny.tensors["model.layers.0.self_attn.v_proj.weight"]?.values =
        [Float](repeating: 0, count: 24 * 48)
      tiny.tensors["model.layers.0.post_attention_layernorm.weight"]?.values =
        [Float](repeating: 0, count: 48)
    }
    fixture.plan.targetBits = 9
    let folder = try TemporaryFolder()
    let summary = try fixture.run(to: "\(folder.path)/model")
    #expect(summary.isComplete)
    #expect(
      summary.records.filter(\.inputsAreZero).map { $0.name.split(separator: ".").last ?? "" }
        == ["o_proj", "gate_proj", "up_proj", "down_proj"])
    _ = try Model(contentsOf: "\(folder.path)/model")
  }
}
