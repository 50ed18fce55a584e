internal import DuetRuntime

/// What config.json of a compressed model says beyond that of its source.
package struct QuantizationConfiguration {
  private let object: JSONOutput

  private static let key = "quantization_config"

  /// The description of a model.
  ///
  /// - Parameters:
  ///   - plan: How it was compressed.
  ///   - toolVersion: By which version.
  ///   - linears: The records of the compressed layers: one whose rank is not the plan's, or the smaller
  ///     of its sizes when that is less, has it in `module_ranks`.
  ///   - unconverted: The names of the matrices that are stored as they were, without ".weight".
  ///   - sourceDigest: `Fingerprint.sourceDigest`.
  package init(
    plan: CompressionPlan, toolVersion: String, linears: [MatrixRecord] = [],
    unconverted: [String], sourceDigest: String
  ) {
    let format = plan.compressedFormat
    let choices = plan.method.choices
    let rank = format.rank
    let others = linears.filter { $0.rank != min(rank, $0.outputSize, $0.inputSize) }
    object = [
      "quant_method": "duet",
      "format_version": .integer(Fingerprint.formatVersion),
      "tool_version": .string(toolVersion),
      "method": .string(plan.method.name),
      "bits": .integer(
        (format.format ?? format.factors.format.weightFormat ?? QuantizationOptions().format)
          .bitsPerCode),
      "format": .string(format.format?.rawValue ?? "none"),
      "group_size": MethodOptions.groupSize.json(in: choices),
      "grid": .string(format.grid.rawValue),
      "head_format": .string(plan.headFormat.rawValue),
      "rank": .integer(rank),
      "module_ranks": .object(others.map { .init($0.name, .integer($0.rank)) }),
      "lr_format": MethodOptions.factorFormat.json(in: choices),
      "lr_block_size": format.factors.blockSize?.json ?? .null,
      "outlier_storage": MethodOptions.outlierStorage.json(in: choices),
      "outlier_channels": MethodOptions.outlierChannelCount.json(in: choices),
      "incoherence": .string(plan.incoherence.rawValue),
      "seed": .unsigned(plan.seed),
      "damping": .number(plan.damping),
      "modules_not_converted": .array(unconverted.map { .string($0) }),
      "source_sha256": .string(sourceDigest),
    ]
  }

  /// Adds the description to the text of a config.json, of which everything else stays as it is, to the
  /// spelling of its numbers.
  ///
  /// - Throws: `CompressedModelError` when the text is no JSON object or describes quantised weights.
  package func added(
    to text: [UInt8], path: String
  ) throws(CompressedModelError) -> [UInt8] {
    let document = try wrapping(CompressedModelError.configuration) { () throws(JSONError) in
      try JSONDocument(parsing: text, path: path, limits: .smallFile)
    }
    guard let members = document.root.members, let end = text.lastIndex(of: UInt8(ascii: "}"))
    else {
      let offset = document.root.byteOffset
      throw .configuration(
        .malformed(path: path, offset: offset, problem: .unexpectedByte(text[offset])))
    }
    // One level deeper, as a member; the last line feed goes.
    let lines = object.indentedText.utf8.dropLast().split(separator: UInt8(ascii: "\n"))
    let value = Array(lines.joined(separator: Array("\n  ".utf8)))
    if let old = document.root[Self.key] {
      guard old.isNull else { throw .alreadyQuantized(path: path) }
      let start = old.byteOffset
      var result = Array(text[..<start])
      result += value
      result += text[(start + "null".utf8.count)...]
      return result
    }
    var result = Array(text[..<end])
    while let last = result.last, [0x20, 0x0A, 0x0D, 0x09].contains(last) { result.removeLast() }
    result += Array("\(members.isEmpty ? "" : ",")\n  \"\(Self.key)\": ".utf8)
    result += value
    result += Array("\n}\n".utf8)
    return result
  }
}
