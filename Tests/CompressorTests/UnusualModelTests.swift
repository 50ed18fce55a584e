import DuetCompressor
import DuetRuntime
import DuetSystem
import Foundation
import TestSupport
import Testing

/// Compressions of models that are built in unusual ways.
@Suite("Compression of unusual models")
struct UnusualModelTests {
  @Test("a head that is not the embedding it is tied to stays a head of its own")
  func ownHead() throws {
    let fixture = try CompressionFixture(isTied: true) { tiny in
      var values = tiny.tensors["model.embed_tokens.weight"]?.values ?? []
      values.reverse()
      tiny.tensors["lm_head.weight"] = ([100, 48], values)
    }
    #expect(fixture.checkpoint.hasOwnHead)
    let folder = try TemporaryFolder()
    let (path, densePath) = ("\(folder.path)/model", "\(folder.path)/dense")
    #expect(try fixture.run(to: path, denseFolder: densePath).isComplete)
    // Read by programs that know no such rule.
    for path in [path, densePath] {
      let model = try Model(contentsOf: path)
      #expect(!model.configuration.tiesEmbeddings && !model.checkpoint.hasOwnHead)
      #expect(model.unusedTensorNames == [])
    }
    let (head, embedding) = (
      try #require(try fixture.checkpoint.tensor(named: "lm_head.weight")),
      try #require(try fixture.checkpoint.tensor(named: "model.embed_tokens.weight"))
    )
    let dense = try Checkpoint(contentsOf: densePath)
    let stored = try #require(try dense.tensor(named: "lm_head.weight"))
    let numbers = [head, stored].map { tensor in
      let matrix = Matrix(widening: tensor, rowCount: 100, columnCount: 48)
      return (0..<4800).map { matrix.elements[$0] }
    }
    // Numbers up to 1 at eight bits: half a step is 1 / 255, or with half the range cut off, less.
    #expect(zip(numbers[0], numbers[1]).allSatisfy { abs($0 - $1) < 0.01 })
    #expect(try dense.tensor(named: "model.embed_tokens.weight")?.byteArray == embedding.byteArray)
  }

  @Test(
    "prime sizes are compressed by every method", arguments: FlatPlan.Method.allCases,
    [WeightFormat.int2, .int3, .int4, .e8p])
  func primeSizes(method: FlatPlan.Method, format: WeightFormat) throws {
    var fixture = try CompressionFixture(
      layerCount: 1,
      configure: {
        $0.hiddenSize = 31
        $0.headSize = 6
        $0.intermediateSize = 61
        $0.vocabularySize = 101
      })
    fixture.plan.method = method
    fixture.plan.format = format
    fixture.plan.rank = method == .lordq ? 24 : 5
    fixture.plan.factorRounding = .feedback
    fixture.plan.outerIterations = 1
    fixture.plan.innerIterations = 1
    fixture.plan.initialization = method == .odlri ? .odlri : .zero
    if method != .odlri, method != .caldera { fixture.plan.refinementRounds = 0 }
    if method == .awq {
      fixture.plan.incoherence = .none
      fixture.plan.propagation = .original
    }
    let folder = try TemporaryFolder()
    let (path, densePath) = ("\(folder.path)/model", "\(folder.path)/dense")
    #expect(try fixture.run(to: path, denseFolder: densePath).isComplete)
    // The compressed model computes what its dense weights say.
    let tokens = [1, 100, 50, 7]
    let rows = try [path, densePath].map { path in
      var session = try Session(
        Model(contentsOf: path),
        options: SessionOptions(threadCount: 1, cacheType: .f32, activations: .f32))
      var result: [Float] = []
      try session.evaluate(tokens) { _, logits in
        result += logits.indices.map { logits[$0] }
      }
      return result
    }
    let scale = rows[1].map(abs).max() ?? 0
    // The dense weights are rounded to F16: 2^-11 relative each, seven matrices deep.
    #expect(zip(rows[0], rows[1]).allSatisfy { abs($0 - $1) < 0.01 * scale })
  }

  @Test("the biases of Qwen2 survive")
  func qwen2() throws {
    let fixture = try CompressionFixture(
      layerCount: 1,
      configure: {
        $0.architecture = .qwen2
        $0.hasAttentionBias = true
      })
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/model"
    #expect(try fixture.run(to: path).isComplete)
    let model = try Model(contentsOf: path)
    #expect(model.configuration.architecture == .qwen2 && model.unusedTensorNames == [])
    for name in ["q_proj", "k_proj", "v_proj"] {
      let bias = "model.layers.0.self_attn.\(name).bias"
      #expect(
        try model.checkpoint.tensor(named: bias)?.byteArray
          == fixture.checkpoint.tensor(named: bias)?.byteArray)
    }
  }
}
