internal import DuetRuntime
internal import DuetSystem
internal import DuetText

/// The section of a compressed model's config.json that its source does not have.
package struct QuantizationConfiguration {
  private let object: JSONOutput

  private typealias Key = CompressedFormat.Key

  /// The description of a model.
  ///
  /// - Parameters:
  ///   - plan: How it was compressed.
  ///   - toolVersion: The version that compressed it.
  ///   - linears: The records of the compressed layers. `module_ranks` lists every rank other than min(rank
  ///     of the plan, rows, columns).
  ///   - unconverted: The names of the matrices that are copied from the source, without ".weight".
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
      Key.method: .string(CompressedFormat.methodName),
      Key.version: .integer(format.writtenVersion),
      Key.toolVersion: .string(toolVersion),
      Key.compressionMethod: .string(plan.method.name),
      Key.bits: Self.number(
        (format.format ?? format.factors.format.weightFormat ?? QuantizationOptions().format)
          .bitsPerCode),
      Key.format: .string(format.format?.rawValue ?? CompressedFormat.withoutQuantized),
      Key.groupSize: format.groupSize.json,
      Key.grid: .string(format.grid.rawValue),
      Key.headFormat: .string(plan.headFormat.rawValue),
      Key.embeddingFormat: format.embedding.map { .string($0.format.rawValue) } ?? .null,
      Key.embeddingGroupSize: format.embedding?.groupSize.json ?? .null,
      Key.rank: .integer(rank),
      Key.moduleRanks: .object(others.map { .init($0.name, .integer($0.rank)) }),
      Key.factorFormat: .string(format.factors.format.rawValue),
      Key.factorBlockSize: format.factors.blockSize?.json ?? .null,
      Key.outlierStorage: MethodOptions.outlierStorage.json(in: choices),
      Key.outlierChannels: MethodOptions.outlierChannelCount.json(in: choices),
      Key.incoherence: .string(plan.incoherence.rawValue),
      Key.seed: .unsigned(plan.seed),
      Key.damping: .number(plan.damping),
      Key.unconverted: .array(unconverted.map { .string($0) }),
      Key.sourceDigest: .string(sourceDigest),
    ]
  }

  /// A number without a decimal point where it is whole.
  private static func number(_ value: Double) -> JSONOutput {
    value == value.rounded() ? .integer(Int(value)) : .number(value)
  }

  /// Adds the section to the text of a config.json.
  ///
  /// The other members stay unchanged, down to the spelling of their numbers.
  ///
  /// - Throws: `ModelWritingError` when the text is not a JSON object or describes quantised weights.
  package func added(
    to text: [UInt8], path: String
  ) throws(ModelWritingError) -> [UInt8] {
    let document = try wrapping(ModelWritingError.configuration) { () throws(JSONError) in
      try JSONDocument(parsing: text, path: path, limits: .smallFile)
    }
    guard let members = document.root.members, let end = text.lastIndex(of: UInt8(ascii: "}"))
    else {
      let offset = document.root.byteOffset
      throw .configuration(
        .malformed(path: path, offset: offset, problem: .unexpectedByte(text[offset])))
    }
    // Indented one level deeper, as a member, without the last line feed.
    let lines = object.indentedText.utf8.dropLast().split(separator: UInt8(ascii: "\n"))
    let value = Array(lines.joined(separator: Array("\n  ".utf8)))
    if let old = document.root[Key.section] {
      guard old.isNull else { throw .alreadyQuantized(path: path) }
      let start = old.byteOffset
      var result = Array(text[..<start])
      result += value
      result += text[(start + "null".utf8.count)...]
      return result
    }
    var result = Array(text[..<end])
    while let last = result.last, [0x20, 0x0A, 0x0D, 0x09].contains(last) { result.removeLast() }
    result += Array("\(members.isEmpty ? "" : ",")\n  \"\(Key.section)\": ".utf8)
    result += value
    result += Array("\n}\n".utf8)
    return result
  }
}
