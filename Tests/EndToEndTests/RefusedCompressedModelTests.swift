import DuetRuntime
import DuetSystem
import Foundation
import TestSupport
import Testing

/// A change to a compressed model, and what it must be refused with.
struct BadCompressedModel: Sendable, CustomTestStringConvertible {
  /// What becomes of a tensor: its bytes, shape and type, or nothing.
  struct Tensor {
    var elementType: ElementType
    var shape: [Int]
    var bytes: [UInt8]
  }

  let testDescription: String
  let code: Int32
  let fragments: [String]
  var configuration: (old: String, new: String)?
  var tensor: String?
  var change: @Sendable (Tensor) -> Tensor? = { $0 }

  /// Another text in config.json.
  static func configuration(_ old: String, _ new: String, _ fragment: String) -> Self {
    .init(
      testDescription: new, code: 3, fragments: [fragment], configuration: (old: old, new: new))
  }

  /// A tensor that is not there.
  static func missing(_ name: String) -> Self {
    .init(testDescription: "no \(name)", code: 3, fragments: [name], tensor: name) { _ in nil }
  }

  /// A tensor with other bytes, shape or type.
  static func changed(
    _ name: String, _ what: String, code: Int32 = 3, _ fragments: String...,
    change: @escaping @Sendable (inout Tensor) -> Void
  ) -> Self {
    .init(
      testDescription: "\(name): \(what)", code: code, fragments: [name] + fragments, tensor: name
    ) {
      var tensor = $0
      change(&tensor)
      return tensor
    }
  }

  /// A number that is none at the start of a tensor of F16.
  private static func notFinite(_ name: String, _ high: UInt8, _ what: String) -> Self {
    changed(name, what, code: 5) { ($0.bytes[0], $0.bytes[1]) = (0, high) }
  }

  private static let query = "model.layers.0.self_attn.q_proj"
  private static let down = "model.layers.1.mlp.down_proj"

  static let all: [BadCompressedModel] = [
    configuration("\"format\": \"int2\"", "\"format\": \"int3\"", "codes"),
    configuration("\"format\": \"int2\"", "\"format\": \"int4\"", "codes"),
    configuration("\"format\": \"int2\"", "\"format\": \"int8\"", "int8"),
    configuration("\"format\": \"int2\"", "\"format\": 2", "format"),
    configuration("\"group_size\": 32", "\"group_size\": 128", "codes"),
    configuration("\"group_size\": 32", "\"group_size\": 48", "group_size"),
    configuration("\"group_size\": 32", "\"group_size\": 0", "group_size"),
    configuration("\"group_size\": 32", "\"group_size\": \"all\"", "group_size"),
    configuration("\"rank\": 4", "\"rank\": 3", "right.scales"),
    // The padding of the factors has room for both: five to eight columns of L, and sixteen rows of R.
    configuration("\"rank\": 4", "\"rank\": 5", "has 4 components"),
    configuration("\"rank\": 4", "\"rank\": 8", "has 4 components"),
    configuration("\"rank\": 4", "\"rank\": 9", "left."),
    configuration(
      "\"module_ranks\": {}", "\"module_ranks\": {\"\(query)\": 6}", "\(query)"),
    configuration("\"rank\": 4", "\"rank\": 16777216", "left."),
    configuration("\"rank\": 4", "\"rank\": 16777217", "rank"),
    configuration("\"rank\": 4", "\"rank\": -1", "rank"),
    configuration(
      "\"module_ranks\": {}", "\"module_ranks\": {\"\(query)\": 33}", query),
    configuration("\"lr_format\": \"int4\"", "\"lr_format\": \"f16\"", "values"),
    configuration("\"incoherence\": \"both\"", "\"incoherence\": \"left\"", "incoherence"),
    configuration("\"format_version\": 1", "\"format_version\": 4", "format_version"),
    configuration(
      "\"embedding_format\": null", "\"embedding_format\": \"int2\"", "embedding_format"),
    configuration(
      "\"embedding_format\": null", "\"embedding_format\": \"int8\"", "embedding_group_size"),
    configuration("\"quant_method\": \"duet\"", "\"quant_method\": \"gptq\"", "gptq"),
    configuration("\"hidden_size\": 32", "\"hidden_size\": 64", "embed_tokens"),
    .init(
      testDescription: "no codes", code: 3, fragments: [query], tensor: "\(query).codes"
    ) { _ in nil },
    missing("\(query).scales"), missing("\(down).left.codes"),
    missing("\(down).left.scales"), missing("\(down).right.codes"), missing("lm_head.scales"),
    missing("incoherence.32.signs"), missing("incoherence.48.factor"),
    notFinite("\(query).scales", 0x7E, "NaN"), notFinite("\(down).right.scales", 0x7C, "infinite"),
    notFinite("\(down).left.scales", 0xFC, "minus infinity"),
    notFinite("lm_head.scales", 0x7E, "NaN"),
    changed("\(query).codes", "cut off") {
      $0.shape[1] -= 1
      $0.bytes.removeLast($0.shape[0])
    },
    changed("\(query).codes", "of another type", "I8") { $0.elementType = .i8 },
    changed("\(query).scales", "flattened") { $0.shape = [$0.shape.reduce(1, *)] },
    changed("\(query).scales", "BF16", "BF16") { $0.elementType = .bf16 },
    changed("incoherence.48.factor", "changed") { $0.bytes[2] ^= 1 },
    .init(
      testDescription: "a sign that is none", code: 3, fragments: ["32"],
      tensor: "incoherence.32.signs"
    ) {
      var tensor = $0
      tensor.bytes[0] = 2
      return tensor
    },
  ]
}

/// Compressed models that cannot be run, given to executables.
@Suite("Refused compressed models")
struct RefusedCompressedModelTests {
  /// A compressed model, made once.
  private static let model = Result { try compressed() }

  private static func compressed() throws -> TemporaryFolder {
    let tiny = TinyCheckpoint(
      Configuration(
        hiddenSize: 32, intermediateSize: 48, layerCount: 2, headCount: 2, vocabularySize: 4096,
        contextLength: 64))
    let source = try TemporaryFolder()
    try tiny.write(to: source)
    for name in ["tokenizer.json", "tokenizer_config.json"] {
      try source.copy(SharedData.project("models/stories/\(name)"))
    }
    let folder = try TemporaryFolder()
    let result = try runExecutable(
      "compress",
      [
        source.path, "-o", "\(folder.path)/model", "--format", "int2", "--group-size", "32",
        "--rank", "4", "--samples", "4", "-c", "16", "-t", "1", "--outer-iterations", "1",
        "--inner-iterations", "1", "--refinement-rounds", "0", "--calibration",
        SharedData.project("models/stories/heldout.txt"), "--quiet",
      ])
    #expect(result.exitCode == 0, "\(result.stderr)")
    return folder
  }

  /// A copy of the compressed model.
  private func copy() throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    let original = try Self.model.get().path + "/model"
    for name in try FileManager.default.contentsOfDirectory(atPath: original) {
      try folder.copy("\(original)/\(name)")
    }
    return folder
  }

  private func apply(_ bad: BadCompressedModel, to folder: TemporaryFolder) throws {
    if let (old, new) = bad.configuration {
      let text = String(decoding: try folder.read("config.json"), as: UTF8.self)
      #expect(text.contains(old), "no \(old) in \(text)")
      try folder.write("config.json", text.replacingOccurrences(of: old, with: new))
    }
    guard let name = bad.tensor else { return }
    let path = "\(folder.path)/model.safetensors"
    let file = try SafeTensorsFile(contentsOf: path)
    #expect(file.tensor(named: name) != nil, "no \(name)")
    let tensors = try file.tensors.compactMap { info -> StoredTensor? in
      var tensor = BadCompressedModel.Tensor(
        elementType: info.elementType, shape: info.shape, bytes: file.file.copyBytes(info.byteRange)
      )
      if info.name == name {
        guard let changed = bad.change(tensor) else { return nil }
        tensor = changed
      }
      return StoredTensor(
        name: info.name, elementType: tensor.elementType, shape: tensor.shape,
        file: try MappedFile(tensor.bytes), byteOffset: 0)
    }
    _ = try SafeTensorsWriter.write(tensors, to: path)
  }

  @Test("the model that is damaged in the other tests runs")
  func theGoodModelRuns() throws {
    let folder = try copy()
    let result = try RefusableModel.chat(folder.path)
    #expect(result.exitCode == 0, "\(result.stderr)")
  }

  @Test("there are thirty ways to damage a model")
  func thereAreThirty() { #expect(BadCompressedModel.all.count >= 30) }

  @Test("each damage is refused with what is wrong", arguments: BadCompressedModel.all)
  func refuses(bad: BadCompressedModel) throws {
    let folder = try copy()
    try apply(bad, to: folder)
    let result = try RefusableModel.chat(folder.path)
    expectRefusal(result, code: bad.code, "chat: ")
    for fragment in bad.fragments { #expect(result.stderr.contains(fragment), "\(result.stderr)") }
  }

  // MARK: - Checksums

  private func verify(_ path: String, _ executable: String = "chat") throws -> ExecutableResult {
    let text = SharedData.project("models/stories/heldout.txt")
    return executable == "chat"
      ? try RefusableModel.chat(path, ["--verify"])
      : try runExecutable(
        executable, ["-m", path, "-f", text, "-c", "16", "--windows", "2", "--verify"])
  }

  @Test("checksums of undamaged files are verified")
  func verifiesWhatWasWritten() throws {
    let folder = try copy()
    for executable in ["chat", "perplexity"] {
      let result = try verify(folder.path, executable)
      #expect(result.exitCode == 0, "\(result.stderr)")
      #expect(result.stderr.contains("1 file of weights verified"))
    }
  }

  /// A bit of a code, which nothing else notices.
  @Test("a changed bit is refused when checksums are verified")
  func refusesAChangedBit() throws {
    let folder = try copy()
    var bytes = try folder.read("model.safetensors")
    let info = try #require(
      SafeTensorsFile(contentsOf: "\(folder.path)/model.safetensors").tensor(
        named: "model.layers.0.mlp.up_proj.codes"))
    bytes[info.byteRange.lowerBound + 3] ^= 4
    try folder.write("model.safetensors", bytes)
    #expect(try RefusableModel.chat(folder.path).exitCode == 0)
    for executable in ["chat", "perplexity"] {
      expectRefusal(
        try verify(folder.path, executable), code: 3, "model.safetensors: the SHA-256 is ")
    }
  }

  @Test(
    "records of checksums that are not of these files are refused",
    arguments: [
      ("\"sha256\"", "\"sha512\"", "\"sha256\" is missing"),
      ("model.safetensors", "other.safetensors", "has no checksum here"),
      ("\"sha256\":", "\"sha256\": 1, \"x\":", "not an object"),
      ("\"model.safetensors\":", "\"a\":\"\",\"model.safetensors\":", "not among the weights"),
      ("\"model.safetensors\": \"", "\"model.safetensors\": [], \"a\": \"", "is not a string"),
      ("{", "", "not valid JSON"),
    ])
  func refusesOtherRecords(old: String, new: String, fragment: String) throws {
    let folder = try copy()
    let text = String(decoding: try folder.read("compression_report.json"), as: UTF8.self)
    let changed = text.replacingOccurrences(of: old, with: new)
    #expect(changed != text, "no \(old)")
    try folder.write("compression_report.json", changed)
    expectRefusal(try verify(folder.path), code: 3, "compression_report.json", fragment)
  }

  @Test("verification needs a record of checksums")
  func needsARecord() throws {
    let folder = try RefusableModel.folder()
    expectRefusal(try verify(folder.path), code: 4, "no compression_report.json")
  }
}
