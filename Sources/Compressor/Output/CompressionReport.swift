internal import DuetRuntime
package import DuetText

/// The figures of a whole compressed model.
package struct CompressionTotals: Sendable, Hashable {
  /// The bytes of the compressed linear layers, with the signs and factors of their rotations.
  package var linearByteCount = 0
  /// The number of weights that these bytes store.
  package var linearWeightCount = 0
  /// The bytes of all tensors.
  package var byteCount = 0
  /// The number of weights of the source.
  package var weightCount = 0
  /// The mean of the linear layers' relative errors.
  package var meanRelativeError = 0.0
  /// The largest of the linear layers' relative errors.
  package var worstRelativeError = 0.0
  /// The name of the linear layer with the largest error; empty without layers.
  package var worstName = ""

  /// The bits per weight of the compressed linear layers, without the head.
  package var bitsPerLinearWeight: Double {
    linearWeightCount == 0 ? 0 : Double(linearByteCount) * 8 / Double(linearWeightCount)
  }

  /// The bits per weight of the whole model.
  package var bitsPerWeight: Double {
    weightCount == 0 ? 0 : Double(byteCount) * 8 / Double(weightCount)
  }

  /// The figures by name.
  package var members: [JSONOutput.Member] {
    [
      .init("byte_count", .integer(byteCount)),
      .init("weight_count", .integer(weightCount)),
      .init("bits_per_weight", .number(bitsPerWeight)),
      .init("linear_byte_count", .integer(linearByteCount)),
      .init("linear_weight_count", .integer(linearWeightCount)),
      .init("linear_bits_per_weight", .number(bitsPerLinearWeight)),
      .init("mean_relative_error", .number(meanRelativeError)),
      .init("worst_relative_error", .number(worstRelativeError)),
      .init("worst_name", .string(worstName)),
    ]
  }

  /// Figures that are all zero.
  package init() {}

  /// Adds the records of linear layers, without the head.
  mutating func add(_ records: [MatrixRecord]) {
    for record in records {
      linearByteCount += record.byteCount
      linearWeightCount += record.outputSize * record.inputSize
      meanRelativeError += record.relativeError / Double(records.count)
      // An error of NaN counts as the largest.
      if worstName.isEmpty || !(record.relativeError <= worstRelativeError) {
        worstRelativeError = record.relativeError
        worstName = record.name
      }
    }
  }
}

/// The contents of compression_report.json.
///
/// It holds no times, so that equal runs write equal bytes.
struct CompressionReport {
  let plan: CompressionPlan
  /// The hidden size of the model.
  let hiddenSize: Int
  let toolVersion: String
  let sourceDigest: String
  let totals: CompressionTotals
  let linears: [MatrixRecord]
  /// The head and the embedding, those that are compressed.
  let others: [MatrixRecord]
  /// The names of the files of weights with their SHA-256 digests.
  let files: [(name: String, digest: String)]

  static let fileName = Checkpoint.checksumRecordName
  static let timingsName = "compression_timings.json"

  var json: JSONOutput {
    [
      "format_version": .integer(plan.compressedFormat.writtenVersion),
      "tool_version": .string(toolVersion),
      "source_sha256": .string(sourceDigest),
      "plan": .object(plan.members(hiddenSize: hiddenSize)),
      "totals": .object(totals.members),
      "matrices": .array((linears + others).map { .object($0.members) }),
      "sha256": .object(files.map { .init($0.name, .string($0.digest)) }),
    ]
  }
}
