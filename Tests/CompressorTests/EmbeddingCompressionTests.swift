import DuetCompressor
import DuetRuntime
import DuetSystem
import DuetText
import Foundation
import TestSupport
import Testing

/// Embeddings that are compressed, above all those that are also the output head.
@Suite("Compressed embeddings")
struct EmbeddingCompressionTests {
  private static let name = "model.embed_tokens"

  /// A tied model, and a plan that is quick.
  private static func fixture(
    isTied: Bool = true, _ format: EmbeddingFormat? = nil,
    change: (inout TinyCheckpoint) -> Void = { _ in }
  ) throws -> CompressionFixture {
    var fixture = try CompressionFixture(isTied: isTied, change: change)
    fixture.plan.method = .gptq
    fixture.plan.refinementRounds = 0
    fixture.plan.embeddingFormat = format
    return fixture
  }

  /// The embedding of a compressed model, dense, by `PackedMatrix`.
  private static func embedding(_ path: String) throws -> [Float] {
    let checkpoint = try Checkpoint(contentsOf: path)
    let storage = try #require(checkpoint.configuration.compression?.embedding)
    let layout = PackedLayout(
      storage.format, groupSize: storage.groupSize, outputSize: 100, inputSize: 48)
    return try PackedMatrix(checkpoint, name, layout: layout).dense()
  }

  private static func logits(_ model: Model) throws -> [Float] {
    var session = try Session(
      model, options: SessionOptions(contextLength: 64, threadCount: 1, cacheType: .f32))
    var result: [Float] = []
    try session.evaluate((0..<40).map { $0 * 37 % 100 }) { _, logits in
      for index in logits.indices { result.append(logits[index]) }
    }
    return result
  }

  @Test(
    "a tied embedding is stored once, packed, and described",
    arguments: [nil, EmbeddingFormat.int4, .int8])
  func stored(format: EmbeddingFormat?) throws {
    let fixture = try Self.fixture(format)
    let folder = try TemporaryFolder()
    let summary = try fixture.run(to: folder.path)
    let checkpoint = try Checkpoint(contentsOf: folder.path)
    let ends = checkpoint.names.filter { !$0.hasPrefix("model.layers.") && !$0.contains("incoh") }
    #expect(
      ends == ["model.embed_tokens.codes", "model.embed_tokens.scales", "model.norm.weight"])
    #expect(try Model(checkpoint).unusedTensorNames.isEmpty)
    let isInt4 = format == .int4
    let configuration = try JSONDocument(
      contentsOf: "\(folder.path)/config.json", limits: .smallFile
    ).root["quantization_config"]
    #expect(configuration?["format_version"]?.int == 2)
    #expect(configuration?["embedding_format"]?.string == (isInt4 ? "int4" : "int8"))
    #expect(configuration?["embedding_group_size"]?.int == (isInt4 ? 32 : 64))
    let kept = configuration?["modules_not_converted"]?.elements?.compactMap(\.string)
    #expect(kept == [])
    let report = try JSONDocument(
      contentsOf: "\(folder.path)/compression_report.json", limits: .smallFile
    ).root
    let records = try #require(report["matrices"]?.elements).map { $0 }
    let record = try #require(records.last)
    #expect(record["name"]?.string == Self.name)
    #expect(record["method"]?.string == (isInt4 ? "rtn int4" : "rtn int8"))
    #expect(record["kl_divergence"]?.double == summary.embedding?.klDivergence)
    #expect(record["byte_count"]?.int == 7 * 16 * (isInt4 ? 36 : 66))
    #expect(report["format_version"]?.int == 2)
    // Matrices of layers have no such figure.
    #expect(records.first?["kl_divergence"]?.isNull == true)
  }

  @Test(
    "a packed embedding is the same for this package and for Scripts/decode.py",
    .enabled(if: DecodeScript.isAvailable, "needs python3 with numpy and safetensors"))
  func secondImplementation() throws {
    for format in EmbeddingFormat.allCases {
      let folder = try TemporaryFolder()
      try Self.fixture(format).run(to: folder.path)
      let decoded = try DecodeScript.weights(of: folder.path)
      #expect(decoded.count == (format == .f16 ? 14 : 15))
      if format == .f16 { continue }
      let values = try Self.embedding(folder.path)
      #expect(decoded[Self.name]?.map(\.bitPattern) == values.map(\.bitPattern))
    }
  }

  @Test("rounding is to the nearest value of the scale that suits its group best")
  func rounding() throws {
    // Uniform numbers gain nothing at eight bits when the largest are clipped. Rows of -127.5 steps and
    // otherwise 19.5 steps do: with steps that are smaller by 2.5 % the others are whole, 19.5 / 0.975 = 20.
    func change(_ tiny: inout TinyCheckpoint) {
      for row in 10..<20 {
        for column in 0..<48 {
          let number: Float = column == 2 * row ? -127.5 : 19.5
          tiny.tensors["\(Self.name).weight"]?.values[row * 48 + column] = number * 0x1p-7
        }
      }
    }
    let original = try Self.fixture(change: change).checkpoint.tensor(
      named: "\(Self.name).weight", shape: [100, 48])
    let weight = Matrix(widening: original, rowCount: 100, columnCount: 48)
    for (format, columns, steps) in [(EmbeddingFormat.int8, 64, Float(127.5)), (.int4, 32, 8)] {
      let folder = try TemporaryFolder()
      let record = try #require(
        try Self.fixture(format, change: change).run(to: folder.path).embedding)
      let values = try Self.embedding(folder.path)
      var (square, total, clippedCount) = (0.0, 0.0, 0)
      for row in 0..<100 {
        for start in stride(from: 0, to: 48, by: columns) {
          let group = start..<min(48, start + columns)
          let largest = group.map { abs(weight[row, $0]) }.max() ?? 0
          // Multiples of the scale; of int4, odd multiples of half of it.
          let shift: Double = format == .int8 ? 0 : 0.5
          let range = (format == .int8 ? -128.0 : -8)...(format == .int8 ? 127.0 : 7)
          /// The squared error of the group with a scale.
          func error(clip: Float) -> Double {
            let scale = Double(Float(Float16(largest * (clip / steps))))
            return group.reduce(0) { sum, column in
              let x = Double(weight[row, column])
              let nearest = (x / scale - shift).rounded()
              let code = min(max(nearest, range.lowerBound), range.upperBound)
              return sum + pow((code + shift) * scale - x, 2)
            }
          }
          // The 27 scales that the search may choose.
          let errors = (0...26).map { error(clip: 1 - 0.025 * Float($0)) }
          let best = errors.min() ?? .infinity
          if best < errors[0] { clippedCount += 1 }
          let actual = group.reduce(0) { sum, column in
            sum + pow(Double(values[row * 48 + column]) - Double(weight[row, column]), 2)
          }
          // The search computes in single precision: numbers of up to 128 steps are off by 2^-17 of a step, their
          // errors of a quarter of a step on average by 2^-15, and the squares by 2^-14.
          #expect(actual <= best * (1 + 0x1p-14), "row \(row)")
          square += actual
          total += group.reduce(0) { $0 + pow(Double(weight[row, $1]), 2) }
        }
      }
      // In the other groups the scale that clips nothing is the best.
      #expect(clippedCount >= 10)
      #expect(abs(record.relativeError - (square / total).squareRoot()) < 1e-6)
    }
  }

  @Test("logits are those of the exported dense model, in which the embedding is tied too")
  func denseExport() throws {
    for format in [EmbeddingFormat.int8, .int4] {
      let fixture = try Self.fixture(format)
      let folder = try TemporaryFolder()
      let (path, dense) = ("\(folder.path)/model", "\(folder.path)/dense")
      try fixture.run(to: path, denseFolder: dense)
      let exported = try Checkpoint(contentsOf: dense)
      #expect(exported.names == fixture.checkpoint.names)
      #expect(exported.configuration.tiesEmbeddings && exported.configuration.compression == nil)
      let tensor = try exported.tensor(
        named: "\(Self.name).weight", shape: [100, 48], elementTypes: [.f16])
      let halves = Matrix(widening: tensor, rowCount: 100, columnCount: 48)
      let values = try Self.embedding(path)
      #expect(values.indices.allSatisfy { halves.elements[$0] == Float(Float16(values[$0])) })
      let (actual, expected) = try (
        Self.logits(Model(contentsOf: path)), Self.logits(Model(exported))
      )
      var (error, size) = (0.0, 0.0)
      for (x, y) in zip(actual, expected) {
        error += Double(x - y) * Double(x - y)
        size += Double(y) * Double(y)
      }
      // The rounding of activations, as in "Compressed models": 2 % of nine products, with a packed head. Without
      // the packed head, or with the original embedding in one of its two places, logits change by more: int4
      // rounds by 8 %.
      #expect((error / size).squareRoot() < 0.05)
    }
  }

  @Test("the observer is told of a part of the embedding that cannot be used")
  func refusedPart() throws {
    final class Listener: CompressionObserver {
      var names: [String] = []
      func refusedPart(of name: String) { names.append(name) }
    }
    let fixture = try Self.fixture()
    let folder = try TemporaryFolder()
    try fixture.run(to: folder.path, observer: StoppingObserver(afterMatrices: 1))
    try folder.write(".compress/parts/\(Self.name).safetensors", [1, 2, 3])
    let listener = Listener()
    #expect(try fixture.run(to: folder.path, observer: listener).isComplete)
    #expect(listener.names == [Self.name])
  }

  @Test("the divergence in the report is that of the original model with the packed embedding")
  func divergence() throws {
    var fixture = try Self.fixture(.int4)
    var dense = TinyCheckpoint(fixture.checkpoint.configuration, seed: 4)
    let original = ForwardPassOracle(checkpoint: dense)
    let folder = try TemporaryFolder()
    let measured = try #require(try fixture.run(to: folder.path).embedding?.klDivergence)
    dense.tensors["\(Self.name).weight"]?.values = try Self.embedding(folder.path)
    let changed = ForwardPassOracle(checkpoint: dense)
    func logProbabilities(_ logits: [Double]) -> [Double] {
      let largest = logits.max() ?? 0
      let sum = logits.reduce(0) { $0 + exp($1 - largest) }
      return logits.map { $0 - largest - log(sum) }
    }
    var (sum, count) = (0.0, 0.0)
    // The first four of eight samples of 16 tokens, of which 15 are predicted.
    for sample in 0..<4 {
      let tokens = Array(fixture.samples.tokens(of: sample).dropLast())
      for (p, q) in zip(original.logits(tokens), changed.logits(tokens)) {
        let (p, q) = (logProbabilities(p), logProbabilities(q))
        sum += zip(p, q).reduce(0) { $0 + exp($1.0) * ($1.0 - $1.1) }
        count += 1
      }
    }
    let expected = sum / count
    // The session also rounds the activations of the head, by 0.7 % of a logit where int4 rounds the weights by
    // 8 %: about a hundredth of the divergence, which is quadratic, and as much again for the cross term.
    #expect(abs(measured - expected) < 0.1 * expected, "\(measured), not \(expected)")
    #expect(expected > 0.001)

    // Better formats cost less, and a sample of one token has nothing to measure.
    fixture.plan.embeddingFormat = .int8
    let int8 = try #require(try fixture.run(to: "\(folder.path)/8").embedding?.klDivergence)
    fixture.plan.embeddingFormat = .f16
    let f16 = try #require(try fixture.run(to: "\(folder.path)/16").embedding?.klDivergence)
    #expect(f16 < int8 && int8 < measured / 20)
  }

  @Test("the compressed layers are fitted to the packed rows, those of the original model are not")
  func streams() throws {
    // The same model, but with the packed values as its embedding, which is kept.
    let packed = try TemporaryFolder()
    var fixture = try Self.fixture(.int4)
    fixture.plan.propagation = .compressed
    try fixture.run(to: packed.path)
    let values = try Self.embedding(packed.path)
    func layers(_ path: String) throws -> [String: [UInt8]] {
      let checkpoint = try Checkpoint(contentsOf: path)
      var result: [String: [UInt8]] = [:]
      for name in checkpoint.names where name.hasPrefix("model.layers.") {
        result[name] = try #require(try checkpoint.tensor(named: name)).byteArray
      }
      return result
    }
    func kept(
      _ propagation: Propagation, _ change: (inout TinyCheckpoint) -> Void
    ) throws -> [String: [UInt8]] {
      var fixture = try Self.fixture(change: change)
      fixture.plan.propagation = propagation
      fixture.plan.keptNames = ["embed_tokens"]
      let folder = try TemporaryFolder()
      try fixture.run(to: folder.path)
      return try layers(folder.path)
    }
    let replaced = try kept(.compressed) { $0.tensors["\(Self.name).weight"]?.values = values }
    #expect(try layers(packed.path) == replaced)
    #expect(try kept(.compressed) { _ in } != replaced)

    let original = try TemporaryFolder()
    fixture.plan.propagation = .original
    try fixture.run(to: original.path)
    #expect(try layers(original.path) == kept(.original) { _ in })

    // Corrected: the first matrices make up for a part of what the embedding is off by.
    let corrected = try TemporaryFolder()
    fixture.plan.propagation = .corrected
    let records = try fixture.run(to: corrected.path).records
    #expect(records[0].correction > 0)
  }

  @Test("head and embedding of an untied model have formats of their own; kept ones stay")
  func untied() throws {
    for (format, head) in [
      (EmbeddingFormat?.none, HeadFormat.int8), (.int8, .f16), (.int4, .int8), (.f16, .int8),
    ] {
      var fixture = try Self.fixture(isTied: false, format)
      fixture.plan.headFormat = head
      let folder = try TemporaryFolder()
      let summary = try fixture.run(to: folder.path)
      let checkpoint = try Checkpoint(contentsOf: folder.path)
      #expect(checkpoint.contains("lm_head.codes") == (head == .int8))
      #expect(checkpoint.contains("\(Self.name).codes") == (format == .int8 || format == .int4))
      let tensor = try checkpoint.tensor(named: "\(Self.name).weight")
      #expect(tensor?.elementType == (format == nil ? .f32 : format == .f16 ? .f16 : nil))
      #expect((summary.embedding == nil) == (format == nil))
      #expect(try Model(checkpoint).unusedTensorNames.isEmpty)
    }
    for (isTied, kept, isPacked) in [
      (true, "lm_head", false), (true, "embed_tokens", false), (false, "lm_head", true),
      (false, "embed_tokens", false),
    ] {
      var fixture = try Self.fixture(isTied: isTied, .int8)
      fixture.plan.keptNames = [kept]
      let folder = try TemporaryFolder()
      try fixture.run(to: folder.path)
      let checkpoint = try Checkpoint(contentsOf: folder.path)
      #expect(checkpoint.contains("\(Self.name).codes") == isPacked, "\(isTied) \(kept)")
      #expect(checkpoint.configuration.compression?.embedding == nil || isPacked)
      _ = try Model(checkpoint)
    }
  }

  @Test(
    "a tied embedding that is stored as the head, alone or also, is stored once", arguments: [0, 1])
  func storedAsHead(copies: Int) throws {
    let fixture = try Self.fixture {
      $0.tensors["lm_head.weight"] = $0.tensors["\(Self.name).weight"]
      if copies == 0 { $0.tensors["\(Self.name).weight"] = nil }
    }
    let folder = try TemporaryFolder()
    let (path, dense) = ("\(folder.path)/model", "\(folder.path)/dense")
    try fixture.run(to: path, denseFolder: dense)
    let plain = "\(folder.path)/plain"
    try Self.fixture().run(to: plain)
    #expect(try Checkpoint(contentsOf: path).names == Checkpoint(contentsOf: plain).names)
    #expect(try Self.embedding(path) == Self.embedding(plain))
    let exported = try Checkpoint(contentsOf: dense)
    #expect(!exported.contains("lm_head.weight") && exported.contains("\(Self.name).weight"))
    _ = try Model(exported)
    let forecast = try CompressionForecast(fixture.checkpoint, plan: fixture.plan.made)
    #expect(try forecast.byteCount == Checkpoint(contentsOf: path).byteCount)
    var halved = fixture
    halved.plan.embeddingFormat = .f16
    try halved.run(to: "\(folder.path)/f16")
    #expect(
      try CompressionForecast(fixture.checkpoint, plan: halved.plan.made).byteCount
        == Checkpoint(contentsOf: "\(folder.path)/f16").byteCount)
  }

  @Test("stopped, damaged, with any number of threads: the same bytes")
  func resume() throws {
    let fixture = try Self.fixture()
    let folder = try TemporaryFolder()
    let whole = "\(folder.path)/whole"
    try fixture.run(to: whole)
    let expected = try CompressionFixture.result(in: whole)
    for threadCount in [2, 3] {
      let path = "\(folder.path)/\(threadCount)"
      try fixture.run(to: path, threadCount: threadCount)
      #expect(try CompressionFixture.result(in: path) == expected, "\(threadCount) threads")
    }
    // While the cost is measured, and among the samples of the first and of the second layer.
    for steps in [0, 1, 3, 4, 9, 60] {
      let path = "\(folder.path)/steps-\(steps)"
      let observer = StoppingObserver(afterSteps: steps)
      #expect(try !fixture.run(to: path, observer: observer).isComplete)
      let part = "\(path)/.compress/parts/\(Self.name).safetensors"
      #expect(FileManager.default.fileExists(atPath: part) == (steps >= 4), "\(steps)")
      if steps == 9 { try Data([0]).write(to: URL(fileURLWithPath: part)) }
      #expect(try fixture.run(to: path).isComplete)
      #expect(try CompressionFixture.result(in: path) == expected, "after \(steps) steps")
    }
    // Another format is another run.
    let path = "\(folder.path)/other"
    _ = try fixture.run(to: path, observer: StoppingObserver(afterMatrices: 1))
    var other = fixture
    other.plan.embeddingFormat = .int4
    let error = #expect(throws: CompressionError.self) { try other.run(to: path) }
    #expect(error?.description.contains("embedding_format") == true)
  }

  @Test("a weight of the embedding that is not finite is refused by name")
  func notFinite() throws {
    let fixture = try Self.fixture { $0.tensors["\(Self.name).weight"]?.values[17] = .nan }
    let folder = try TemporaryFolder()
    let error = #expect(throws: CompressionError.self) { try fixture.run(to: folder.path) }
    #expect(error?.description.contains(Self.name) == true)
  }
}
