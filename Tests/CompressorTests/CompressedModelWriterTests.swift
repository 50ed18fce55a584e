import DuetCompressor
import DuetRuntime
import DuetSystem
import DuetText
import Foundation
import TestSupport
import Testing

@Suite("CompressedModelWriter")
struct CompressedModelWriterTests {
  /// Everything that a second run must repeat.
  private func comparable(_ path: String) throws -> [String: [UInt8]] {
    try files(in: path).filter { $0.key != "compression_timings.json" }
  }

  // MARK: - Contents

  @Test("all tensors come back, from one file or several", arguments: [5_000, 1 << 30])
  func roundTrip(largestShard: Int) throws {
    let fixture = try CompressedModelFixture()
    let parent = try TemporaryFolder()
    let path = "\(parent.path)/new/model"
    try fixture.run(to: path, largestShard: largestShard)

    let names = try FileManager.default.contentsOfDirectory(atPath: path)
    #expect(names.contains("model.safetensors") == (largestShard > 5_000))
    #expect(names.contains("model.safetensors.index.json") == (largestShard == 5_000))
    #expect(
      names.contains { $0.hasPrefix("model-00001-of-0000") } == (largestShard == 5_000))
    for name in ["tokenizer.json", "README.md"] {
      #expect(try files(in: path)[name] == (try fixture.source.read(name)))
    }
    for name in ["pytorch_model.bin", "original", ".compress", ".compress-ended"] {
      #expect(!names.contains(name), "\(name)")
    }

    // The configuration is not understood yet, so the weights are opened under the source's.
    try Data(CompressedModelFixture.configurationText.utf8)
      .write(to: URL(fileURLWithPath: "\(path)/config.json"))
    let model = try Checkpoint(contentsOf: path)
    let compressed = fixture.linears + [try #require(fixture.head)]
    let replaced = compressed.map { "\($0.record.name).weight" }
    let expected =
      try fixture.checkpoint.names.filter { !replaced.contains($0) }
      .compactMap { try fixture.checkpoint.tensor(named: $0) }
      + compressed.flatMap(\.tensors) + fixture.rotations.flatMap { try $0.storedTensors() }
    #expect(model.names.sorted() == expected.map(\.name).sorted())
    for tensor in expected {
      let stored = try model.tensor(
        named: tensor.name, shape: tensor.shape, elementTypes: [tensor.elementType])
      #expect(stored.byteArray == tensor.byteArray, "\(tensor.name)")
      if tensor.byteCount % 64 == 0 { #expect(stored.byteOffset % 64 == 0, "\(tensor.name)") }
    }
    #expect(model.contains("incoherence.48.factor") && !model.contains("incoherence.32.factor"))
  }

  @Test("config.json keeps its members and gains one")
  func configurationText() throws {
    let fixture = try CompressedModelFixture()
    let folder = try TemporaryFolder()
    try fixture.run(to: folder.path)
    let text = String(decoding: try folder.read("config.json"), as: UTF8.self)
    let original = CompressedModelFixture.configurationText
    let kept = original.dropLast(original.reversed().prefix { $0 != "}" }.count + 1)
    #expect(text.hasPrefix(kept.trimmingCharacters(in: .whitespacesAndNewlines)))
    let root = try JSONDocument(
      parsing: Array(text.utf8), path: "config.json", limits: .smallFile
    ).root
    let object = try #require(root["quantization_config"])
    #expect(object["quant_method"]?.string == "duet")
    #expect(object["format_version"]?.int == 1)
    #expect(object["group_size"]?.int == 32)
    #expect(object["source_sha256"]?.string == (try fixture.fingerprint().sourceDigest))
    let unconverted = object["modules_not_converted"]?.elements?.compactMap(\.string)
    #expect(unconverted?.contains("model.embed_tokens") == true)
    #expect(unconverted?.contains("lm_head") == false)
  }

  @Test(
    "a member is added to any object",
    arguments: [
      ("{}", "{\n  \"quantization_config\": "), (" {\"a\":1}\n\n", " {\"a\":1,\n  \"quant"),
      ("{\"quantization_config\":null,\"b\":1e5}", "{\"quantization_config\":{\n"),
    ])
  func addedMember(text: String, prefix: String) throws {
    let added = try QuantizationConfiguration(
      plan: CompressionPlan(), toolVersion: "1", unconverted: [], sourceDigest: "x"
    ).added(to: Array(text.utf8), path: "config.json")
    #expect(String(decoding: added, as: UTF8.self).hasPrefix(prefix))
    let root = try JSONDocument(parsing: added, path: "config.json", limits: .smallFile).root
    let section = root["quantization_config"]
    #expect(section?["rank"]?.int == 0 && section?["format"]?.string == "trellis2.5")
    #expect(section?["bits"]?.double == 2.5 && section?["format_version"]?.int == 3)
  }

  @Test("what is no object, or quantised already, is refused")
  func refusedConfigurations() throws {
    let configuration = QuantizationConfiguration(
      plan: CompressionPlan(), toolVersion: "1", unconverted: [], sourceDigest: "x")
    #expect(throws: ModelWritingError.alreadyQuantized(path: "p")) {
      try configuration.added(to: Array("{\"quantization_config\":{}}".utf8), path: "p")
    }
    for text in ["[]", "3", "{", ""] {
      #expect(throws: ModelWritingError.self) {
        try configuration.added(to: Array(text.utf8), path: "p")
      }
    }
  }

  @Test("the report has every matrix, the totals and true digests")
  func report() throws {
    let fixture = try CompressedModelFixture()
    let folder = try TemporaryFolder()
    try fixture.run(to: folder.path)
    let root = try JSONDocument(
      contentsOf: "\(folder.path)/compression_report.json", limits: .smallFile
    ).root
    #expect(root["matrices"]?.elements?.count == 3)
    #expect(root["totals"]?["worst_name"]?.string == "model.layers.0.mlp.down_proj")
    #expect(root["plan"]?["rank"]?.int == 5)
    // Both layers have 48 * 32 weights; signs are stored once, and 12 * 12 numbers of the factor.
    let rotationBytes = 32 + 48 + 4 * 144
    let bytes = fixture.linears.reduce(rotationBytes) { $0 + $1.record.byteCount }
    #expect(
      root["totals"]?["linear_bits_per_weight"]?.double == Double(bytes) * 8 / Double(2 * 48 * 32))
    var shardBytes = 0
    for member in try #require(root["sha256"]?.members) {
      let file = try folder.read(member.name)
      shardBytes += file.count
      #expect(member.value.string == SHA256.hexadecimalDigest(of: file))
    }
    #expect(shardBytes > (root["totals"]?["byte_count"]?.int ?? .max))
    let timings = try JSONDocument(
      contentsOf: "\(folder.path)/compression_timings.json", limits: .smallFile
    ).root
    #expect(timings["lm_head"]?.double == 1)
  }

  @Test("a source with names of compressed models is refused")
  func tensorTwice() throws {
    let fixture = try CompressedModelFixture()
    let tensors = fixture.linears[0].tensors
    #expect(throws: ModelWritingError.tensorTwice(tensor: tensors[0].name)) {
      try ShardPlan(tensors + [tensors[0]], largestShard: 1000)
    }
  }

  // MARK: - Failures

  /// A run may die before any operation, in the middle of any write: the next one ends with the same
  /// bytes, and the source is as it was.
  @Test("a run that dies anywhere can be resumed", arguments: [false, true])
  func deaths(tears: Bool) throws {
    let fixture = try CompressedModelFixture(layers: ["mlp.up_proj"])
    let whole = try TemporaryFolder()
    try fixture.run(to: whole.path)
    let expected = try comparable(whole.path)
    let before = try files(in: fixture.source.path)
    var number = 0
    while true {
      let folder = try TemporaryFolder()
      let faults = FaultyOperations(number: number, staysDead: true, tears: tears)
      do { try fixture.run(to: folder.path, operations: faults.operations) } catch {}
      guard faults.hasFailed else { break }
      let isComplete = try files(in: folder.path)["config.json"] != nil
      if isComplete { #expect(try comparable(folder.path) == expected, "operation \(number)") }
      if !isComplete || FileManager.default.fileExists(atPath: "\(folder.path)/.compress") {
        try fixture.run(to: folder.path)
      }
      #expect(try comparable(folder.path) == expected, "operation \(number)")
      number += 1
    }
    // Three matrices and files of their own alone have a dozen each.
    #expect(number > 80)
    #expect(try files(in: fixture.source.path) == before)
  }

  @Test("a single failure is reported and leaves a run to resume", arguments: [EIO, ENOSPC])
  func failures(code: Int32) throws {
    let fixture = try CompressedModelFixture(layers: ["mlp.up_proj"])
    let whole = try TemporaryFolder()
    try fixture.run(to: whole.path)
    let expected = try comparable(whole.path)
    var number = 0
    while true {
      let folder = try TemporaryFolder()
      let faults = FaultyOperations(number: number, staysDead: false, tears: true, code: code)
      do {
        try fixture.run(to: folder.path, operations: faults.operations)
        // Removing a temporary file may fail without harm, but no test gets there.
        #expect(!faults.hasFailed, "operation \(number)")
        break
      } catch let error as any DuetError {
        #expect(error.category == .inputOutput, "\(error)")
      }
      let isComplete = try files(in: folder.path)["config.json"] != nil
      if !isComplete || FileManager.default.fileExists(atPath: "\(folder.path)/.compress") {
        try fixture.run(to: folder.path)
      }
      #expect(try comparable(folder.path) == expected, "operation \(number)")
      number += 1
    }
    #expect(number > 80)
  }

  @Test("an older model stays whole until the new one is complete")
  func replacement() throws {
    let fixture = try CompressedModelFixture(layers: ["mlp.up_proj"])
    let whole = try TemporaryFolder()
    try fixture.run(to: whole.path, largestShard: 1 << 30)
    let expected = try comparable(whole.path)
    let old = [
      "config.json": "old", "model.safetensors.index.json": "old", "README.md": "old",
      "model-00001-of-00001.safetensors": "old",
    ]
    let oldFiles = old.mapValues { Array($0.utf8) }
    var number = 0
    while true {
      let folder = try TemporaryFolder()
      for (name, text) in old { try folder.write(name, text) }
      let faults = FaultyOperations(number: number, staysDead: true, tears: true)
      do {
        try fixture.run(
          to: folder.path, force: true, largestShard: 1 << 30, operations: faults.operations)
      } catch {}
      guard faults.hasFailed else { break }
      let left = try comparable(folder.path)
      #expect(
        left == oldFiles || left == expected || left["config.json"] == nil, "operation \(number)")
      if left != expected {
        try fixture.run(to: folder.path, force: true, largestShard: 1 << 30)
      }
      #expect(try comparable(folder.path) == expected, "operation \(number)")
      number += 1
    }
    #expect(number > 80)
  }
}
