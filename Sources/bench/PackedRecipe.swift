import DuetCommandLine
import DuetRuntime
import DuetText

/// The storage of a random packed matrix: its format, and the low-rank part added to it.
struct PackedRecipe {
  var format: WeightFormat
  var groupSize: GroupSize
  /// The rank of L R; 0 for none.
  var rank: Int
  var factorFormat: WeightFormat
  var hasOffsets: Bool

  /// A recipe; without a group size it is 128 columns, or a row for a trellis code.
  init(
    format: WeightFormat, groupSize: GroupSize? = nil, rank: Int = 0,
    factorFormat: WeightFormat = .int4, hasOffsets: Bool = false
  ) {
    self.format = format
    self.groupSize = groupSize ?? (format.coding == .trellis ? .row : .columns128)
    self.rank = rank
    self.factorFormat = factorFormat
    self.hasOffsets = hasOffsets
  }

  /// The recipe as text.
  var text: String {
    "\(format.rawValue) group \(groupSize.rawValue)" + (hasOffsets ? " with offsets" : "")
      + (rank > 0 ? " rank \(rank) \(factorFormat.rawValue)" : "")
  }

  /// The recipe as members of a JSON document.
  var json: [JSONOutput.Member] {
    [
      .init("weight_format", .string(format.rawValue)),
      .init("group_size", .string(groupSize.rawValue)),
      .init("offsets", .boolean(hasOffsets)), .init("rank", .integer(rank)),
      .init("factor_format", rank > 0 ? .string(factorFormat.rawValue) : .null),
    ]
  }

  /// The recipe without the low-rank part.
  var quantizedAlone: PackedRecipe {
    var recipe = self
    recipe.rank = 0
    return recipe
  }

  /// The layouts of Q, and of R and L if there are any, for a matrix of `size`.
  private func layouts(_ size: MatrixSize) -> (quantized: PackedLayout, factors: [PackedLayout]) {
    let quantized = PackedLayout(
      format, groupSize: groupSize, outputSize: size.outputSize, inputSize: size.inputSize)
    guard rank > 0 else { return (quantized, []) }
    // A group of L is not much longer than its rows, so that they need little padding.
    let group = GroupSize(columnCount: rank <= 32 ? 32 : rank <= 64 ? 64 : 128) ?? .columns128
    return (
      quantized,
      [
        PackedLayout(
          factorFormat, groupSize: .columns128, outputSize: rank, inputSize: size.inputSize),
        PackedLayout(
          factorFormat, groupSize: group, outputSize: size.outputSize, inputSize: rank),
      ]
    )
  }

  /// The bytes of a matrix of `size`.
  func byteCount(_ size: MatrixSize) -> Int {
    let (quantized, factors) = layouts(size)
    return quantized.byteCount(hasOffsets: hasOffsets)
      + factors.reduce(0) { $0 + $1.byteCount() }
  }

  /// Random matrices of `sizes` that share their input, filled by the threads of `pool`.
  func linear(_ sizes: [MatrixSize], _ pool: WorkerPool) throws(PackedMatrixError) -> PackedLinear {
    var parts: [PackedLinear.Part] = []
    for size in sizes {
      let (quantized, factors) = layouts(size)
      let matrix = try PackedMatrix.random(quantized, hasOffsets: hasOffsets, pool)
      var lowRank: LowRankFactors?
      if factors.count == 2 {
        lowRank = LowRankFactors(
          left: try .random(factors[1], pool), right: try .random(factors[0], pool))
      }
      parts.append(PackedLinear.Part(quantized: matrix, lowRank: lowRank))
    }
    return PackedLinear(parts)
  }
}

/// The size of a weight matrix.
struct MatrixSize {
  let outputSize: Int
  let inputSize: Int

  var weightCount: Int { outputSize * inputSize }
  var text: String { "\(outputSize) x \(inputSize)" }
}

extension PackedMatrix {
  /// Makes a matrix of random codes, and of scales of either sign between 2^-7 and 2^-6.
  ///
  /// All bytes are valid codes. Subnormal scales would be slow and large ones would overflow; otherwise
  /// the speed does not depend on the values.
  static func random(
    _ layout: PackedLayout, hasOffsets: Bool = false, _ pool: WorkerPool
  ) throws(PackedMatrixError) -> PackedMatrix {
    try PackedMatrix(layout: layout, hasOffsets: hasOffsets) { memory in
      let byteCount = memory.byteCount
      let codesEnd = layout.codeByteCount
      let step = 1 << 20
      unsafe memory.withUnsafeMutableBytes { bytes in
        pool.run((byteCount + step - 1) / step) { piece, _ in
          var generator = RandomGenerator(seed: UInt64(piece))
          for offset in stride(from: piece * step, to: min((piece + 1) * step, byteCount), by: 8) {
            // Scales and offsets are F16 with random sign and fraction, and the biased exponent 8,
            // which is 2^(8 - 15).
            let word = generator.next()
            unsafe bytes.storeBytes(
              of: offset < codesEnd ? word : word & 0x83FF_83FF_83FF_83FF | 0x2000_2000_2000_2000,
              toByteOffset: offset, as: UInt64.self)
          }
        }
      }
      for index in layout.paddedScaleIndices {
        memory.storeBytes(of: 0, toByteOffset: layout.scalesStart + 2 * index, as: UInt16.self)
        guard hasOffsets else { continue }
        memory.storeBytes(of: 0, toByteOffset: layout.offsetsStart + 2 * index, as: UInt16.self)
      }
    }
  }
}

extension PackedLinear {
  /// All matrices, in the order in which a token reads them.
  var matrices: [PackedMatrix] {
    parts.compactMap(\.lowRank?.right)
      + parts.flatMap { part in
        [part.quantized, part.lowRank?.left, part.columns?.weights].compactMap { $0 }
      }
  }
}
