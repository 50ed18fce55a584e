import DuetCompressor
import DuetRuntime
import Foundation
import TestSupport
import Testing

/// Rescaled inputs, whose inverse goes into norms and into the matrices before.
@Suite("Rescaled inputs")
struct LayerScalingTests {
  private let algebra = LinearAlgebra(WorkerPool(threadCount: 1))

  /// A model with as many key heads as query heads, biases everywhere, and norms that differ by channel
  /// so that inputs do; compressed by AWQ in four bits.
  private func compressed(
    keyValueHeadCount: Int, in path: String, keeping names: [String] = []
  ) throws -> (fixture: CompressionFixture, summary: CompressionSummary) {
    var fixture = try CompressionFixture { tiny in
      var configuration = tiny.configuration
      configuration.keyValueHeadCount = keyValueHeadCount
      configuration.hasAttentionBias = true
      configuration.hasFeedForwardBias = true
      tiny = TinyCheckpoint(configuration, seed: 4)
    }
    fixture.plan = FlatPlan()
    fixture.plan.method = .awq
    (fixture.plan.format, fixture.plan.grid, fixture.plan.groupSize) = (
      .int4, .asymmetric, .columns32
    )
    (fixture.plan.incoherence, fixture.plan.propagation) = (.none, .original)
    (fixture.plan.sampleCount, fixture.plan.contextLength) = (8, 16)
    fixture.plan.keptNames = names
    return (fixture, try fixture.run(to: path))
  }

  @Test("matrices and norms together are those of the source but for rounding", arguments: [4, 2])
  func identity(keyValueHeadCount: Int) throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/model"
    let (fixture, summary) = try compressed(keyValueHeadCount: keyValueHeadCount, in: path)
    let result = try Checkpoint(contentsOf: path)
    func vector(_ checkpoint: Checkpoint, _ name: String) throws -> [Float] {
      try #require(try checkpoint.tensor(named: name)).floats
    }
    let reconstruction = DenseReconstruction(algebra, fixture.plan.made.compressedFormat, nil)
    var weights: [String: Matrix<Float>.Rows] = [:]
    for linear in try fixture.linears(in: path, summary.records) {
      let dense = try reconstruction.weight(of: linear, fixture.checkpoint.configuration)
      weights[linear.record.name] = dense.rows
    }
    var rescaledCount = 0
    for layer in 0..<2 {
      let prefix = "model.layers.\(layer)"
      /// s, from a norm that was divided by it.
      func factors(_ norm: String) throws -> [Float] {
        let (old, new) = (
          try vector(fixture.checkpoint, "\(prefix).\(norm).weight"),
          try vector(result, "\(prefix).\(norm).weight")
        )
        return zip(old, new).map(/)
      }
      let attention = try factors("input_layernorm")
      let feedForward = try factors("post_attention_layernorm")
      rescaledCount += [attention, feedForward].filter { $0.contains { abs($0 - 1) > 0.01 } }.count
      // What v and up were divided by, from their biases.
      func outputs(_ name: String) throws -> [Float] {
        let (old, new) = (
          try vector(fixture.checkpoint, "\(prefix).\(name).bias"),
          try vector(result, "\(prefix).\(name).bias")
        )
        return zip(old, new).map(/)
      }
      let (values, ups) = (try outputs("self_attn.v_proj"), try outputs("mlp.up_proj"))
      if keyValueHeadCount == 2 { #expect(values.allSatisfy { $0 == 1 }) }
      let isShared = keyValueHeadCount == 4
      for (name, inputs, outputs) in [
        ("self_attn.q_proj", attention, nil), ("self_attn.k_proj", attention, nil),
        ("self_attn.v_proj", attention, isShared ? values : nil),
        ("self_attn.o_proj", isShared ? values : nil, nil), ("mlp.gate_proj", feedForward, nil),
        ("mlp.up_proj", feedForward, ups), ("mlp.down_proj", ups, nil),
      ] as [(String, [Float]?, [Float]?)] {
        let record = try #require(summary.records.first { $0.name == "\(prefix).\(name)" })
        let old = try fixture.weight(record)
        let new = try #require(weights[record.name])
        var (error, size) = (0.0, 0.0)
        for row in 0..<record.outputSize {
          for column in 0..<record.inputSize {
            let source = Double(old[row * record.inputSize + column])
            // W = diag(t) W' diag(s)^-1
            let own =
              Double(new[row][column]) / Double(inputs?[column] ?? 1) * Double(outputs?[row] ?? 1)
            error += (own - source) * (own - source)
            size += source * source
          }
        }
        // Sixteen values over a range of four to five standard deviations: a step of 0.3 of them, an
        // error of 0.3 / sqrt(12) = 9 %, and more where the smallest of rescaled inputs share a group with
        // the largest. A factor at the wrong place is off by itself.
        #expect((error / size).squareRoot() < 0.2, "\(record.name)")
        #expect(record.scalingExponent != nil || !isShared)
      }
    }
    #expect(rescaledCount > 0, "no exponent is better than 0")
  }

  @Test("inputs are left as they are where a matrix that takes part stays")
  func kept() throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/model"
    let (fixture, summary) = try compressed(
      keyValueHeadCount: 4, in: path, keeping: ["k_proj", "up_proj"])
    let result = try Checkpoint(contentsOf: path)
    for name in ["input_layernorm", "post_attention_layernorm"] {
      let full = "model.layers.0.\(name).weight"
      let (old, new) = (
        try fixture.checkpoint.tensor(named: full), try result.tensor(named: full)
      )
      #expect(old?.floats == new?.floats)
    }
    for record in summary.records {
      let isOutput = record.name.hasSuffix("o_proj")
      #expect((record.scalingExponent != nil) == isOutput, "\(record.name)")
    }
  }
}

extension StoredTensor {
  /// The numbers of a tensor of F32.
  fileprivate var floats: [Float] {
    (0..<elementCount).map {
      unsafe bytes.unsafeLoadUnaligned(fromByteOffset: 4 * $0, as: Float.self)
    }
  }
}

extension Matrix where Element == Float {
  fileprivate typealias Rows = [[Float]]

  fileprivate var rows: Rows {
    (0..<rowCount).map { row in (0..<columnCount).map { self[row, $0] } }
  }
}
