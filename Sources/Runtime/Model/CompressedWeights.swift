internal import DuetSystem

/// The compressed parts of a linear layer: y = S_out B_out^T (Q z + L (R z) + C x_O), z = B_in S_in x.
///
/// All parts share z. The factors L and R are either packed, and then computed with Q as one job, or
/// dense in half precision.
struct CompressedWeights: Sendable {
  /// A part that is to be loaded.
  struct Source {
    let name: String
    let outputSize: Int
    /// The row of the output where this part begins.
    let outputRow: Int
  }

  /// The factors of one part in half precision.
  struct HalfFactors: Sendable {
    /// L, (outputSize, rank), with rows that begin at 0.
    let left: DenseRows
    let outputRow: Int
    /// Where its R z begins in the R z of all parts.
    let productRow: Int
  }

  /// The rotation of a part's outputs, and the row where they begin.
  struct OutputRotation: Sendable {
    let rotation: IncoherenceTransform
    let outputRow: Int
  }

  /// Q, packed factors and outlier columns of all parts.
  let linear: PackedLinear
  /// B_in S_in, or nil.
  let inputRotation: IncoherenceTransform?
  /// S_out B_out^T of the parts; empty when outputs are not rotated.
  let outputRotations: [OutputRotation]
  /// R of all parts in half precision, (sum of ranks, inputSize), or nil.
  let halfRight: DenseRows?
  /// L of each part with factors in half precision.
  let halfLefts: [HalfFactors]
  /// The names of all stored tensors.
  let tensorNames: [String]

  /// The suffixes of the names of a compressed matrix's tensors, after the name of the matrix.
  static let suffixes =
    ["", ".left", ".right", ".columns"].flatMap { part in
      [PackedMatrix.codesSuffix, PackedMatrix.scalesSuffix, PackedMatrix.offsetsSuffix].map {
        part + $0
      }
    } + [".left.values", ".right.values", ".columns.index"]

  /// Loads the parts.
  ///
  /// - Throws: `CheckpointError` when a tensor is missing, is not what config.json says, or holds a
  ///   scale or factor that is not finite.
  init(
    _ checkpoint: borrowing Checkpoint, _ sources: [Source], inputSize: Int, outputSize: Int,
    _ rotations: ModelRotations
  ) throws(CheckpointError) {
    guard let compression = checkpoint.configuration.compression else {
      preconditionFailure("compressed weights of a dense model")
    }
    var parts: [PackedLinear.Part] = []
    var rights: [DenseMatrix] = []
    var lefts: [HalfFactors] = []
    var rotated: [OutputRotation] = []
    var productRow = 0
    var isRotated = false
    for source in sources {
      let (name, size) = (source.name, source.outputSize)
      // The head and the embedding, which share their input with no other matrix.
      let vocabularyLayout = compression.vocabularyLayout(
        of: name, vocabularySize: size, hiddenSize: inputSize)
      let isInLayer = vocabularyLayout == nil
      isRotated = isInLayer
      let rank = isInLayer ? compression.rank(of: name, outputSize: size, inputSize: inputSize) : 0
      let layout =
        vocabularyLayout ?? compression.quantizedLayout(outputSize: size, inputSize: inputSize)
      var factors: LowRankFactors?
      if rank > 0,
        let layouts = compression.factors.layouts(
          rank: rank, outputSize: size, inputSize: inputSize)
      {
        let loaded = LowRankFactors(
          left: try PackedMatrix(checkpoint, "\(name).left", layout: layouts.left),
          right: try PackedMatrix(checkpoint, "\(name).right", layout: layouts.right))
        // Factors of a slightly smaller rank, padded, have the same shapes.
        let storedRank = loaded.storedRank
        guard storedRank == rank else {
          throw .rankMismatch(
            path: checkpoint.folder, layer: name, expected: rank, actual: storedRank)
        }
        factors = loaded
      } else if rank > 0 {
        let left = try DenseMatrix(
          half: checkpoint, "\(name).left.values", outputSize: size, inputSize: rank)
        rights.append(
          try DenseMatrix(
            half: checkpoint, "\(name).right.values", outputSize: rank, inputSize: inputSize))
        lefts.append(
          HalfFactors(
            left: DenseRows([left], inputSize: rank), outputRow: source.outputRow,
            productRow: productRow))
        productRow += rank
      }
      parts.append(
        PackedLinear.Part(
          quantized: try layout.map { layout throws(CheckpointError) in
            try PackedMatrix(
              checkpoint, name, layout: layout,
              grid: isInLayer ? compression.grid : .symmetric)
          }, lowRank: factors,
          columns: isInLayer
            ? try Self.columns(checkpoint, name, outputSize: size, inputSize: inputSize) : nil))
      if isInLayer, compression.incoherence == .both {
        rotated.append(
          OutputRotation(
            rotation: try rotations.rotation(of: size, checkpoint), outputRow: source.outputRow))
      }
    }
    linear = PackedLinear(
      parts, outputRows: sources.map(\.outputRow), outputSize: outputSize)
    inputRotation =
      isRotated && compression.incoherence != .none
      ? try rotations.rotation(of: inputSize, checkpoint) : nil
    outputRotations = rotated
    halfRight = rights.isEmpty ? nil : DenseRows(rights, inputSize: inputSize)
    halfLefts = lefts
    let prefixes = sources.map { "\($0.name)." }
    tensorNames = checkpoint.names.filter { name in
      prefixes.contains { name.hasPrefix($0) } && !name.hasSuffix(".bias")
        && !name.hasSuffix(".weight")
    }
  }

  /// The outlier columns of a layer, if it has any.
  private static func columns(
    _ checkpoint: borrowing Checkpoint, _ name: String, outputSize: Int, inputSize: Int
  ) throws(CheckpointError) -> PackedColumns? {
    guard let index = try checkpoint.tensor(named: "\(name).columns.index") else { return nil }
    let count = index.elementCount
    guard count > 0, count < inputSize, index.shape == [count] else {
      throw .shapeMismatch(
        path: index.file.path, tensor: index.name, expected: [max(1, count)], actual: index.shape)
    }
    guard index.elementType == .i32 else {
      throw .elementTypeMismatch(
        path: index.file.path, tensor: index.name, expected: [.i32], actual: index.elementType)
    }
    let channels = (0..<count).map {
      unsafe Int(index.bytes.unsafeLoadUnaligned(fromByteOffset: 4 * $0, as: Int32.self))
    }
    guard channels.allSatisfy({ $0 >= 0 && $0 < inputSize }),
      zip(channels, channels.dropFirst()).allSatisfy({ $0 < $1 })
    else {
      throw .channelsNotAscending(path: index.file.path, tensor: index.name, inputSize: inputSize)
    }
    let weights = try PackedMatrix(
      checkpoint, "\(name).columns",
      layout: CompressedFormat.columnsLayout(outputSize: outputSize, count: count))
    // A few more columns have the same shapes, and would be ignored unnoticed.
    guard (count..<weights.layout.paddedInputSize).allSatisfy(weights.hasOnlyZeroCodes) else {
      throw .unlistedColumns(
        path: index.file.path, tensor: "\(name).columns.codes", channelCount: count)
    }
    return PackedColumns(channels: channels, weights: weights)
  }

  /// The packed format of Q, or of the factors where there is no Q.
  var formatName: String {
    let part = linear.parts[0]
    return (part.quantized ?? part.lowRank?.left)?.format.rawValue ?? ""
  }

  /// The bytes of all weights, which one token reads once.
  var byteCount: Int {
    halfLefts.reduce(linear.byteCount + (halfRight?.byteCount ?? 0)) { $0 + $1.left.byteCount }
  }

  /// Multiplications that one token takes, rotations not counted.
  var multiplicationCount: Int {
    halfLefts.reduce(linear.multiplicationCount + (halfRight?.multiplicationCount ?? 0)) {
      $0 + $1.left.multiplicationCount
    }
  }
}
