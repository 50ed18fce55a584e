import DuetCompressor
import DuetRuntime
import DuetSystem
import Foundation
import Synchronization
import TestSupport

/// A tiny source model and made-up compressed layers of it: random packed matrices, which stand for
/// nothing, in all the forms that a compressed layer can have.
struct CompressedModelFixture {
  let source: TemporaryFolder
  let checkpoint: Checkpoint
  var plan = FlatPlan()
  var linears: [CompressedLinear] = []
  var head: CompressedLinear?
  var rotations: [IncoherenceTransform] = []

  /// Sizes with a power of two and one without, 48 = 12 * 4.
  static let configuration = Configuration(
    hiddenSize: 32, intermediateSize: 48, layerCount: 1, headCount: 2, vocabularySize: 50)

  /// A model with Q in `format` and the layers whose names end in `layers`.
  init(_ format: WeightFormat = .int2, layers: [String] = ["mlp.up_proj", "mlp.down_proj"]) throws {
    source = try TemporaryFolder()
    try TinyCheckpoint(Self.configuration).write(to: source)
    try source.write("config.json", Self.configurationText)
    try source.write("tokenizer.json", "{\"model\": {}}")
    try source.write("README.md", "A model.\n")
    try source.write("pytorch_model.bin", "weights of another kind")
    try FileManager.default.createDirectory(
      atPath: "\(source.path)/original", withIntermediateDirectories: true)
    checkpoint = try Checkpoint(contentsOf: source.path)
    plan.format = format
    plan.groupSize = format.coding == .trellis ? .row : .columns32
    plan.rank = 5
    for (index, layer) in layers.enumerated() {
      let name = "model.layers.0.\(layer)"
      let isDown = layer.hasSuffix("down_proj")
      linears.append(
        try Self.linear(
          name, format, outputSize: isDown ? 32 : 48, inputSize: isDown ? 48 : 32, rank: 5,
          hasPackedFactors: index == 0, outlierCount: index == 0 ? 0 : 3, seed: UInt64(index)))
    }
    head = try Self.linear(
      "lm_head", .int8, outputSize: 50, inputSize: 32, rank: 0, hasPackedFactors: false,
      outlierCount: 0, seed: 77)
    rotations = [
      try IncoherenceTransform(size: 48, seed: 1), try IncoherenceTransform(size: 32, seed: 2),
    ]
  }

  /// A configuration whose numbers and order must survive.
  static var configurationText: String {
    TinyCheckpoint(configuration).configurationText.replacingOccurrences(
      of: "{\"model_type\"",
      with: "{ \"zeta\" : 1.0e-05, \"torch_dtype\": \"float32\",\n\"model_type\""
    )
  }

  static func linear(
    _ name: String, _ format: WeightFormat, outputSize: Int, inputSize: Int, rank: Int,
    hasPackedFactors: Bool, outlierCount: Int, seed: UInt64
  ) throws -> CompressedLinear {
    func packed(
      _ suffix: String, _ format: WeightFormat, _ group: GroupSize, _ rows: Int, _ columns: Int
    ) throws -> [StoredTensor] {
      let layout = PackedLayout(format, groupSize: group, outputSize: rows, inputSize: columns)
      return try randomPacked(layout, seed: seed &+ UInt64(suffix.utf8.count))
        .storedTensors(named: name + suffix)
    }
    var tensors = try packed(
      "", format, format.coding == .trellis ? .row : .columns32, outputSize, inputSize)
    if rank > 0, hasPackedFactors {
      tensors += try packed(".left", .int4, .row, outputSize, rank)
      tensors += try packed(".right", .int4, .columns128, rank, inputSize)
    } else if rank > 0 {
      tensors.append(try halves("\(name).left.values", [outputSize, rank], seed: seed &+ 11))
      tensors.append(try halves("\(name).right.values", [rank, inputSize], seed: seed &+ 12))
    }
    var record = MatrixRecord()
    if outlierCount > 0 {
      record.outlierChannels = (0..<outlierCount).map { 7 * $0 + 2 }
      let bytes = record.outlierChannels.flatMap { channel -> [UInt8] in [UInt8(channel), 0, 0, 0] }
      tensors.append(
        StoredTensor(
          name: "\(name).columns.index", elementType: .i32, shape: [outlierCount],
          file: try MappedFile(bytes), byteOffset: 0))
      tensors += try packed(".columns", .int8, .row, outputSize, outlierCount)
    }
    record.name = name
    (record.outputSize, record.inputSize, record.rank) = (outputSize, inputSize, rank)
    record.method = "random"
    record.relativeError = 0.125 + Double(seed) / 3
    record.traces = [.init(initialization: "zero", errors: [0.5, 1 / 3, 1e-300])]
    record.byteCount = tensors.reduce(0) { $0 + $1.byteCount }
    return CompressedLinear(tensors: tensors, record: record)
  }

  private static func halves(_ name: String, _ shape: [Int], seed: UInt64) throws -> StoredTensor {
    var generator = RandomGenerator(seed: seed)
    let bytes = (0..<shape.reduce(1, *)).flatMap { _ -> [UInt8] in
      let bits = Float16(generator.nextUnit() - 0.5).bitPattern
      return [UInt8(truncatingIfNeeded: bits), UInt8(bits >> 8)]
    }
    return StoredTensor(
      name: name, elementType: .f16, shape: shape, file: try MappedFile(bytes), byteOffset: 0)
  }

  func fingerprint(_ plan: FlatPlan? = nil) throws -> Fingerprint {
    try Fingerprint(
      plan: (plan ?? self.plan).made, checkpoint: checkpoint, calibrationDigest: "none")
  }

  /// A whole run: every matrix that the journal lacks is "computed", then the model is written.
  func run(
    to path: String, force: Bool = false, largestShard: Int = 5_000,
    operations: FileOperations = .system
  ) throws {
    let output = try OutputFolder(
      path, source: source.path, force: force, operations: operations)
    let fingerprint = try fingerprint()
    var journal = try Journal(output, fingerprint: fingerprint)
    func done(_ linear: CompressedLinear) throws -> CompressedLinear {
      if let known = try journal.completed(linear.record.name) { return known }
      try journal.record(linear, seconds: 1)
      return linear
    }
    let finished = try linears.map(done)
    let finishedHead = try head.map(done)
    let writer = CompressedModelWriter(
      output, checkpoint: checkpoint, plan: plan.made, sourceDigest: fingerprint.sourceDigest,
      largestShard: largestShard)
    _ = try writer.finish(
      linears: finished, head: finishedHead, rotations: rotations, seconds: journal.seconds)
  }
}

extension StoredTensor {
  /// The bytes of the elements.
  var byteArray: [UInt8] { file.copyBytes(byteOffset..<byteOffset + byteCount) }
}

/// The files of a folder, those in folders inside left out.
func files(in path: String) throws -> [String: [UInt8]] {
  var result: [String: [UInt8]] = [:]
  for name in try FileManager.default.contentsOfDirectory(atPath: path) {
    if let bytes = FileManager.default.contents(atPath: "\(path)/\(name)") {
      result[name] = [UInt8](bytes)
    }
  }
  return result
}

/// Operations of which the one at `number`, and perhaps all after it, fail; counts them.
final class FaultyOperations: Sendable {
  private let count = Mutex(0)
  private let number: Int
  private let staysDead: Bool
  private let tears: Bool
  private let code: Int32

  /// - Parameters:
  ///   - number: The operation that fails first, from 0.
  ///   - staysDead: Whether all later ones fail too, as if the process had died.
  ///   - tears: Whether a failing write writes half of its bytes.
  ///   - code: The system's error code.
  init(number: Int, staysDead: Bool, tears: Bool, code: Int32 = EIO) {
    (self.number, self.staysDead, self.tears, self.code) = (number, staysDead, tears, code)
  }

  /// Whether the failing operation was reached.
  var hasFailed: Bool { count.withLock { $0 > number } }

  var operations: FileOperations {
    FileOperations { [self] _, _ in
      let index = count.withLock { count in
        defer { count += 1 }
        return count
      }
      guard index == number || (index > number && staysDead) else { return .done }
      return tears && index == number ? .torn(code: code) : .failed(code: code)
    }
  }
}
