import DuetCompressor
import DuetRuntime
import DuetSystem
import Foundation
import TestSupport
import Testing

/// Compressed models as the runtime loads and runs them.
@Suite("Compressed models")
struct CompressedModelTests {
  /// A compressed model and the dense one that it stands for.
  private struct Pair {
    let folder: TemporaryFolder
    let path: String
    let compressed: Model
    let dense: Model

    init(_ change: (inout FlatPlan) -> Void = { _ in }) throws {
      var fixture = try CompressionFixture()
      change(&fixture.plan)
      folder = try TemporaryFolder()
      path = "\(folder.path)/model"
      let summary = try fixture.run(to: path)
      compressed = try Model(contentsOf: path)
      var tensors: [StoredTensor] = []
      let algebra = LinearAlgebra(WorkerPool(threadCount: 1))
      let sizes = summary.records.flatMap { [$0.inputSize, $0.outputSize] }
      let rotation =
        fixture.plan.incoherence == .none
        ? nil
        : try MatrixRotation(sizes: sizes, seed: fixture.plan.seed, KernelSet.standard, algebra)
      let reconstruction = DenseReconstruction(
        algebra, fixture.plan.made.compressedFormat, rotation)
      for linear in try fixture.linears(in: path, summary.records) {
        let weight = try reconstruction.weight(of: linear, fixture.checkpoint.configuration)
        tensors.append(try weight.storedTensor(named: "\(linear.record.name).weight"))
      }
      let replaced = Set(tensors.map(\.name))
      // From the compressed model, which has changed norms where inputs are rescaled.
      let result = try Checkpoint(contentsOf: path)
      for name in fixture.checkpoint.names where !replaced.contains(name) {
        let own = try result.tensor(named: name)
        if let tensor = try own ?? fixture.checkpoint.tensor(named: name) { tensors.append(tensor) }
      }
      dense = try Model(
        Checkpoint(configuration: fixture.checkpoint.configuration, tensors: tensors))
    }
  }

  private static let tokens = (0..<40).map { $0 * 37 % 100 }

  private static func logits(_ model: Model, threadCount: Int = 1) throws -> [Float] {
    var session = try Session(
      model,
      options: SessionOptions(
        contextLength: 64, threadCount: threadCount, cacheType: .f32))
    var result: [Float] = []
    try session.evaluate(tokens) { _, logits in
      for index in logits.indices { result.append(logits[index]) }
    }
    return result
  }

  private struct Kind: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let change: @Sendable (inout FlatPlan) -> Void
  }

  private static let kinds: [Kind] = {
    var kinds: [Kind] = []
    for format in CompressedFormat.quantizedFormats {
      let group: GroupSize = format.coding == .trellis ? .row : .columns32
      for sides in IncoherenceSides.allCases {
        kinds.append(
          Kind(testDescription: "\(format), \(sides), int4 factors") { plan in
            plan.format = format
            plan.groupSize = group
            plan.incoherence = sides
          })
      }
      kinds.append(
        Kind(testDescription: "\(format), f16 factors") { plan in
          plan.format = format
          plan.groupSize = group
          plan.factorFormat = .f16
        })
      kinds.append(
        Kind(testDescription: "\(format), columns") { plan in
          plan.method = .caldera
          plan.format = format
          plan.groupSize = group
          plan.initialization = .zero
          plan.rank = 24
          plan.outlierStorage = .int8
          plan.outlierChannelCount = 3
        })
    }
    for method in FlatPlan.Method.allCases {
      kinds.append(
        Kind(testDescription: "\(method)") { plan in
          plan.method = method
          plan.initialization = method == .odlri ? .odlri : .zero
          if method == .awq || method == .lqer {
            (plan.format, plan.grid, plan.incoherence) = (.int4, .asymmetric, .none)
          }
          if method == .awq { plan.propagation = .original }
          if method == .lordq { plan.rank = 40 }
        })
    }
    for factors in FactorFormat.allCases where factors != .int4 {
      kinds.append(
        Kind(testDescription: "lordq or caldera, \(factors) factors, chosen ranks") { plan in
          (plan.method, plan.initialization) = (factors == .f16 ? .caldera : .lordq, .lowRank)
          plan.factorFormat = factors
          plan.targetBits = 24
        })
    }
    kinds.append(
      Kind(testDescription: "gptq, some layers and the head dense") { plan in
        plan.method = .gptq
        plan.keptNames = ["k_proj", "layers.1.mlp.down_proj", "lm_head"]
      })
    return kinds
  }()

  @Test("logits are those of the dense model but for the rounding of activations", arguments: kinds)
  private func logits(kind: Kind) throws {
    let pair = try Pair(kind.change)
    let (actual, expected) = try (Self.logits(pair.compressed), Self.logits(pair.dense))
    var (error, size) = (0.0, 0.0)
    for (x, y) in zip(actual, expected) {
      error += Double(x - y) * Double(x - y)
      size += Double(y) * Double(y)
    }
    // Activations are rounded to 1/127 of the largest of their group, an error of 0.6 % of a vector
    // whose largest number is three times its root mean square; it enters eight products on the way,
    // the errors of which add up like independent ones: 2 %, twice that for the low-rank factors and
    // the head. A matrix left out, or multiplied without its rotation, changes logits by half.
    #expect((error / size).squareRoot() < 0.05)
  }

  @Test("one, two and three threads give the same bits")
  func threads() throws {
    let pair = try Pair { $0.format = .e8p }
    let one = try Self.logits(pair.compressed)
    #expect(try Self.logits(pair.compressed, threadCount: 2) == one)
    #expect(try Self.logits(pair.compressed, threadCount: 3) == one)
  }

  @Test("every tensor of the file is used, and the bytes of a token are those of its matrices")
  func accounting() throws {
    let pair = try Pair { $0.format = .e8p }
    #expect(pair.compressed.unusedTensorNames == [])
    let file = try SafeTensorsFile(contentsOf: "\(pair.path)/model.safetensors")
    let read = file.tensors.filter {
      $0.name.hasSuffix(".codes") || $0.name.hasSuffix(".scales")
    }
    #expect(pair.compressed.byteCountPerToken == read.reduce(0) { $0 + $1.byteRange.count })
  }

  // MARK: - Refusals

  /// Loads a compressed model after its config.json or one of its tensors was changed.
  private func refusal(
    config: [(String, String)] = [], tensor: String? = nil,
    change: ((StoredTensor) throws -> StoredTensor?)? = nil
  ) throws -> String? {
    let pair = try Pair { $0.format = .int2 }
    let configPath = "\(pair.path)/config.json"
    var text = try String(contentsOfFile: configPath, encoding: .utf8)
    for (old, new) in config {
      #expect(text.contains(old), "no \(old) in config.json")
      text = text.replacingOccurrences(of: old, with: new)
    }
    try text.write(toFile: configPath, atomically: true, encoding: .utf8)
    if let tensor, let change {
      let path = "\(pair.path)/model.safetensors"
      let file = try SafeTensorsFile(contentsOf: path)
      var tensors: [StoredTensor] = []
      for info in file.tensors {
        let stored = StoredTensor(
          name: info.name, elementType: info.elementType, shape: info.shape, file: file.file,
          byteOffset: info.byteRange.lowerBound)
        if info.name == tensor {
          if let changed = try change(stored) { tensors.append(changed) }
        } else {
          tensors.append(stored)
        }
      }
      #expect(file.tensors.contains { $0.name == tensor }, "no \(tensor)")
      _ = try SafeTensorsWriter.write(tensors, to: path)
    }
    do {
      _ = try Model(contentsOf: pair.path)
      return nil
    } catch {
      return "\(error)"
    }
  }

  @Test(
    "what config.json says of the tensors must be true",
    arguments: [
      ("\"format\": \"int2\"", "\"format\": \"int3\"", "codes"),
      ("\"format\": \"int2\"", "\"format\": \"int8\"", "int8"),
      ("\"format\": \"int2\"", "\"format\": \"q4_k\"", "q4_k"),
      ("\"group_size\": 32", "\"group_size\": 64", "scales"),
      ("\"group_size\": 32", "\"group_size\": 33", "group_size"),
      ("\"rank\": 6", "\"rank\": 40", "left.codes"),
      ("\"rank\": 6", "\"rank\": -1", "rank"),
      ("\"lr_format\": \"int4\"", "\"lr_format\": \"f16\"", "values"),
      ("\"lr_format\": \"int4\"", "\"lr_format\": \"int5\"", "lr_format"),
      ("\"incoherence\": \"both\"", "\"incoherence\": \"all\"", "incoherence"),
      ("\"format_version\": 1", "\"format_version\": 4", "format_version"),
      ("\"format\": \"int2\"", "\"format\": \"trellis2\"", "group_size"),
      ("\"quant_method\": \"duet\"", "\"quant_method\": \"awq\"", "awq"),
      ("\"format_version\": 1,", "", "format_version"),
    ])
  func configuration(old: String, new: String, mentions: String) throws {
    let message = try #require(try refusal(config: [(old, new)]))
    #expect(message.contains(mentions), "\(message)")
    #expect(!message.contains("\n"))
  }

  @Test(
    "a missing tensor is named",
    arguments: [
      "model.layers.0.self_attn.q_proj.scales", "model.layers.1.mlp.up_proj.left.codes",
      "model.layers.0.mlp.down_proj.right.scales", "incoherence.80.signs",
      "incoherence.48.factor",
    ])
  func missing(name: String) throws {
    let message = try #require(try refusal(tensor: name) { _ in nil })
    #expect(message.contains(name), "\(message)")
  }

  @Test(
    "an infinity or NaN among scales, and a sign that is none, are refused",
    arguments: [
      "model.layers.0.self_attn.q_proj.scales", "model.layers.1.mlp.up_proj.left.scales",
      "model.layers.0.mlp.down_proj.right.scales", "lm_head.scales", "incoherence.80.signs",
      "incoherence.48.factor",
    ])
  func notFinite(name: String) throws {
    let message = try #require(
      try refusal(tensor: name) { stored in
        // All bits set are NaN in F16 and F32; 0x7F is no sign.
        let file = try MappedFile(anonymousByteCount: stored.byteCount) { memory in
          for index in 0..<stored.byteCount {
            let isFirst = index < max(1, stored.elementType.byteCount)
            let byte = unsafe stored.bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self)
            memory.storeBytes(
              of: isFirst ? (stored.elementType == .i8 ? 0x7F : 0xFF) : byte,
              toByteOffset: index, as: UInt8.self)
          }
        }
        return StoredTensor(
          name: stored.name, elementType: stored.elementType, shape: stored.shape, file: file,
          byteOffset: 0)
      })
    #expect(message.contains(name) || name.contains("signs"), "\(message)")
  }
}
