package import DuetRuntime
import DuetSystem
import Foundation

/// A compressed model of one small layer, with random codes and scales.
///
/// It loads and runs within a millisecond or two, so that tests can damage it thousands of times.
package struct TinyCompressedModel: Sendable {
  /// The format of the compressed model.
  package let format: CompressedFormat
  /// Whether an index lists two files of weights.
  package var isSharded = false
  /// The input channels of the query matrix that are stored as separate columns.
  var outlierChannels: [Int32] = []
  /// Whether the output head is packed in eight bits.
  var hasPackedHead = false

  /// A model in one file, with a dense output head.
  package init(format: CompressedFormat) { self.format = format }

  /// The models whose files are mutated; each uses formats that the others do not use.
  package static let all: [TinyCompressedModel] = {
    var rotated = TinyCompressedModel(
      format: CompressedFormat(
        format: .int2, groupSize: .columns32, rank: 5, factors: FactorStorage(.int4),
        incoherence: .both))
    rotated.outlierChannels = [2, 9, 15]
    rotated.hasPackedHead = true
    var sharded = TinyCompressedModel(
      format: CompressedFormat(
        format: .int3, groupSize: .columns64, grid: .asymmetric, rank: 3,
        moduleRanks: ["model.layers.0.self_attn.k_proj": 0, "model.layers.0.mlp.up_proj": 7],
        factors: FactorStorage(.f16), incoherence: .input))
    sharded.isSharded = true
    let lattice = TinyCompressedModel(
      format: CompressedFormat(
        format: .e8p, groupSize: .row, rank: 2, factors: FactorStorage(.int8), incoherence: .none))
    let factorsAlone = TinyCompressedModel(
      format: CompressedFormat(
        format: nil, groupSize: .row, rank: 8,
        factors: FactorStorage(.int2, blockSize: .columns32), incoherence: .both,
        embedding: EmbeddingStorage(.int4, groupSize: .columns32)))
    let trellis = TinyCompressedModel(
      format: CompressedFormat(
        format: .trellis2_5, groupSize: .row, rank: 0, factors: FactorStorage(.int4),
        incoherence: .both))
    return [rotated, sharded, lattice, factorsAlone, trellis]
  }()

  /// One size is a power of two, 16, and one is not, 48 = 12 * 4.
  static let configuration = Configuration(
    hiddenSize: 16, intermediateSize: 48, layerCount: 1, headCount: 2, keyValueHeadCount: 1,
    vocabularySize: 20, contextLength: 64)

  /// The names of the files, those of the weights last.
  package var fileNames: [String] {
    ["config.json", "compression_report.json"]
      + (isSharded
        ? ["model.safetensors.index.json", "a.safetensors", "b.safetensors"]
        : ["model.safetensors"])
  }

  /// Writes the files into an existing folder.
  package func write(to folder: String) throws {
    func write(_ name: String, _ text: String) throws {
      try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
    }
    try write("config.json", configurationText)
    let tensors = try storedTensors()
    let middle = isSharded ? tensors.count / 2 : tensors.count
    let shards = [tensors[..<middle], tensors[middle...]].filter { !$0.isEmpty }
    let names = fileNames.filter { $0.hasSuffix(".safetensors") }
    var digests: [String] = []
    var places: [String] = []
    for (name, shard) in zip(names, shards) {
      let digest = try SafeTensorsWriter.write(
        Array(shard), to: "\(folder)/\(name)", operations: .system)
      digests.append("\"\(name)\": \"\(SHA256.hexadecimal(digest))\"")
      places += shard.map { "\"\($0.name)\": \"\(name)\"" }
    }
    try write(
      "compression_report.json", "{\"sha256\": {\(digests.joined(separator: ", "))}, \"x\": []}")
    if isSharded {
      try write(
        "model.safetensors.index.json", "{\"weight_map\": {\(places.joined(separator: ",\n"))}}")
    }
  }

  private var configurationText: String {
    let ranks = format.moduleRanks.sorted { $0.key < $1.key }
      .map { "\"\($0.key)\": \($0.value)" }
    let block = format.factors.blockSize.map { "\"lr_block_size\": \($0.rawValue), " } ?? ""
    let group = format.groupSize.columnCount.map(String.init) ?? "\"row\""
    let embedding =
      format.embedding.map { storage in
        " \"embedding_format\": \"\(storage.format.rawValue)\", "
          + "\"embedding_group_size\": \(storage.groupSize.columnCount ?? 0),"
      } ?? ""
    let dense = TinyCheckpoint(Self.configuration).configurationText
    return """
      \(dense.dropLast()), "quantization_config": {"quant_method": "duet",
       "format_version": \(format.writtenVersion),\(embedding)
       "format": "\(format.format?.rawValue ?? "none")", "group_size": \(group),
       "grid": "\(format.grid.rawValue)", "rank": \(format.rank), \(block)
       "lr_format": "\(format.factors.format.rawValue)",
       "incoherence": "\(format.incoherence.rawValue)",
       "module_ranks": {\(ranks.joined(separator: ", "))}}}
      """
  }

  // MARK: - Tensors

  /// The tensors in the order of their names.
  private func storedTensors() throws -> [StoredTensor] {
    var result: [StoredTensor] = []
    for tensor in try TinyCheckpoint(Self.configuration).storedTensors() {
      let name = String(tensor.name.dropLast(".weight".count))
      let isHead = name == "lm_head"
      if name.hasSuffix("_proj") {
        result += try linear(name, outputSize: tensor.shape[0], inputSize: tensor.shape[1])
      } else if isHead, hasPackedHead {
        let layout = CompressedFormat.headLayout(
          vocabularySize: tensor.shape[0], hiddenSize: tensor.shape[1])
        result += try randomPacked(layout, seed: 5).storedTensors(named: name)
      } else if let layout = format.vocabularyLayout(
        of: name, vocabularySize: tensor.shape[0], hiddenSize: tensor.shape[tensor.shape.count - 1]),
        !isHead
      {
        let size = 2 / Float(layout.format.largestCode)
        result += try randomPacked(layout, size: size, seed: 6).storedTensors(named: name)
      } else {
        result.append(tensor)
      }
    }
    let sizes = [Self.configuration.hiddenSize, Self.configuration.intermediateSize]
    let narrow = Self.configuration.keyValueWidth
    switch format.incoherence {
    case .none: break
    case .input: result += try sizes.flatMap(rotation)
    case .both: result += try (sizes + [narrow]).flatMap(rotation)
    }
    return result.sorted { $0.name < $1.name }
  }

  private func linear(_ name: String, outputSize: Int, inputSize: Int) throws -> [StoredTensor] {
    let seed = UInt64(name.utf8.reduce(0) { $0 + Int($1) })
    var result: [StoredTensor] = []
    if let layout = format.quantizedLayout(outputSize: outputSize, inputSize: inputSize) {
      result += try randomPacked(layout, hasOffsets: format.grid == .asymmetric, seed: seed)
        .storedTensors(named: name)
    }
    let rank = format.rank(of: name, outputSize: outputSize, inputSize: inputSize)
    if rank > 0,
      let layouts = format.factors.layouts(
        rank: rank, outputSize: outputSize, inputSize: inputSize)
    {
      // Entries of at most about 1 keep the keys and values within the range of F16.
      let size = 2 / Float(layouts.left.format.largestCode)
      result += try randomPacked(layouts.left, size: size, seed: seed + 1)
        .storedTensors(named: "\(name).left")
      result += try randomPacked(layouts.right, size: size, seed: seed + 2)
        .storedTensors(named: "\(name).right")
    } else if rank > 0 {
      for (suffix, shape) in [("left", [outputSize, rank]), ("right", [rank, inputSize])] {
        let halves = (0..<shape[0] * shape[1]).map { Float16($0 % 7 - 3) / 8 }
        result.append(try stored("\(name).\(suffix).values", .f16, shape, halves.map(\.bitPattern)))
      }
    }
    if !outlierChannels.isEmpty, name.hasSuffix("q_proj") {
      result.append(
        try stored("\(name).columns.index", .i32, [outlierChannels.count], outlierChannels))
      let layout = CompressedFormat.columnsLayout(
        outputSize: outputSize, count: outlierChannels.count)
      result += try randomPacked(layout, seed: seed + 3).storedTensors(named: "\(name).columns")
    }
    return result
  }

  private func rotation(_ size: Int) throws -> [StoredTensor] {
    let rotation = try IncoherenceTransform(size: size, seed: UInt64(size))
    let order = rotation.factor.order
    let signs = try stored("incoherence.\(size).signs", .i8, [size], rotation.signs)
    guard order > 1 else { return [signs] }
    let bits = rotation.factor.entries.map(\.bitPattern)
    return [signs, try stored("incoherence.\(size).factor", .f32, [order, order], bits)]
  }

  private func stored<Number: FixedWidthInteger>(
    _ name: String, _ type: ElementType, _ shape: [Int], _ numbers: [Number]
  ) throws -> StoredTensor {
    let bytes = numbers.flatMap { number in
      (0..<Number.bitWidth / 8).map { UInt8(truncatingIfNeeded: number >> Number(8 * $0)) }
    }
    return StoredTensor(
      name: name, elementType: type, shape: shape, file: try MappedFile(bytes), byteOffset: 0)
  }
}

/// A packed matrix of random codes, scales of 0.5 to 1.5 times `size` and, where asked for, offsets of -1 to 0.
package func randomPacked(
  _ layout: PackedLayout, size: Float = 1, hasOffsets: Bool = false, seed: UInt64
) throws -> PackedMatrix {
  var generator = RandomGenerator(seed: seed)
  let scales = (0..<layout.outputSize * layout.groupCount).map { _ in
    (Float(generator.nextUnit()) + 0.5) * size
  }
  if layout.format == .e8p {
    let codes = (0..<layout.outputSize * layout.codesPerRow).map { _ in
      UInt16(truncatingIfNeeded: generator.next())
    }
    return try PackedMatrix(packing: codes.span, layout: layout, scales: scales.span)
  }
  if layout.format.coding == .trellis {
    let code = TrellisCode(layout.format)
    let tileCount = layout.panelCount * PackedLayout.panelRows / TrellisCode.tileRows
    let bits = (0..<tileCount * layout.inputSize * code.bitCount).map { _ in
      UInt8(generator.next() >> 63)
    }
    return try PackedMatrix(packingTrellis: bits.span, layout: layout, scales: scales.span)
  }
  let codes = (0..<layout.outputSize * layout.inputSize).map { _ in
    UInt8.random(in: 0...layout.format.largestCode, using: &generator)
  }
  guard hasOffsets else {
    return try PackedMatrix(packing: codes.span, layout: layout, scales: scales.span)
  }
  let offsets = scales.map { _ in -Float(generator.nextUnit()) }
  return try PackedMatrix(
    packing: codes.span, layout: layout, scales: scales.span, offsets: offsets.span)
}
