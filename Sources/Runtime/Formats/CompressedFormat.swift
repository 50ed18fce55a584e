/// How the low-rank factors of a compressed model are stored.
public enum FactorFormat: String, Sendable, CaseIterable {
  /// Two bits with group scales.
  case int2
  /// Three bits with group scales.
  case int3
  /// Four bits with group scales.
  case int4
  /// Eight bits with group scales.
  case int8
  /// Half precision.
  case f16

  /// The packed format, or nil for half precision, which is not packed.
  public var weightFormat: WeightFormat? {
    switch self {
    case .int2: .int2
    case .int3: .int3
    case .int4: .int4
    case .int8: .int8
    case .f16: nil
    }
  }
}

/// How L and R of a matrix are stored.
public struct FactorStorage: Sendable, Hashable {
  /// How their entries are stored.
  public var format: FactorFormat
  /// The number of components that were found together and share a scale in L; nil means up to 128.
  public var blockSize: GroupSize?

  /// A way to store factors.
  public init(_ format: FactorFormat, blockSize: GroupSize? = nil) {
    self.format = format
    self.blockSize = blockSize
  }

  /// The layouts of L (outputSize, rank) and R (rank, inputSize), or nil in half precision.
  public func layouts(
    rank: Int, outputSize: Int, inputSize: Int
  ) -> (left: PackedLayout, right: PackedLayout)? {
    format.weightFormat.map { packed in
      (
        CompressedFormat.leftLayout(
          packed, outputSize: outputSize, rank: rank, blockSize: blockSize),
        CompressedFormat.rightLayout(packed, rank: rank, inputSize: inputSize)
      )
    }
  }

  /// The bytes of both factors.
  public func byteCount(rank: Int, outputSize: Int, inputSize: Int) -> Int {
    if rank == 0 { return 0 }
    guard let (left, right) = layouts(rank: rank, outputSize: outputSize, inputSize: inputSize)
    else { return 2 * rank * (outputSize + inputSize) }
    return left.byteCount() + right.byteCount()
  }
}

/// How a packed embedding is stored.
public struct EmbeddingStorage: Sendable, Hashable {
  /// The format of the codes, one of `formats`.
  public var format: WeightFormat
  /// How many columns share a scale.
  public var groupSize: GroupSize

  /// The formats that an embedding may have.
  package static let formats: [WeightFormat] = [.int4, .int8]

  /// A way to store an embedding.
  public init(_ format: WeightFormat, groupSize: GroupSize) {
    self.format = format
    self.groupSize = groupSize
  }
}

/// Where the values of an integer format lie.
public enum GridKind: String, Sendable, CaseIterable {
  /// At the odd multiples of half a scale; of int8, at the multiples of a scale.
  case symmetric
  /// At multiples of a scale plus an offset; one of the values is zero.
  case asymmetric
}

/// Which sides of the weight matrices of a compressed model are rotated.
public enum IncoherenceSides: String, Sendable, CaseIterable {
  /// Neither.
  case none
  /// The inputs.
  case input
  /// The inputs and the outputs.
  case both
}

/// The formats of the packed tensors of a compressed model, as in its config.json.
public struct CompressedFormat: Sendable, Hashable {
  /// How Q is stored, or nil when there is no Q: then all weights are L R.
  public var format: WeightFormat?
  /// How many columns of Q share a scale.
  public var groupSize: GroupSize
  /// Where the values of Q lie: with offsets beside the scales, or without.
  public var grid: GridKind
  /// The rank of the low-rank part; a matrix with a smaller side has the length of that side as rank.
  public var rank: Int
  /// The ranks of the layers with another rank, by name.
  public var moduleRanks: [String: Int]
  /// How the low-rank factors are stored.
  public var factors: FactorStorage
  /// Which sides are rotated.
  public var incoherence: IncoherenceSides
  /// How the embedding is stored, or nil when it is not packed.
  public var embedding: EmbeddingStorage?

  /// The latest version of the format that is read.
  public static let version = 3
  /// The value of "quant_method".
  package static let methodName = "duet"
  /// The formats that Q may have: int8 is for factors, outlier columns and the head.
  package static let quantizedFormats = WeightFormat.allCases.filter { $0 != .int8 }
  /// The value of "format" where there is no Q.
  package static let withoutQuantized = "none"

  /// A description of formats.
  public init(
    format: WeightFormat?, groupSize: GroupSize, grid: GridKind = .symmetric, rank: Int,
    moduleRanks: [String: Int] = [:], factors: FactorStorage, incoherence: IncoherenceSides,
    embedding: EmbeddingStorage? = nil
  ) {
    self.format = format
    self.groupSize = groupSize
    self.grid = grid
    self.rank = rank
    self.moduleRanks = moduleRanks
    self.factors = factors
    self.incoherence = incoherence
    self.embedding = embedding
  }

  /// The earliest version that describes the model: 2 for a packed embedding and 3 for a trellis code, which
  /// readers of earlier versions do not know.
  package var writtenVersion: Int { format?.coding == .trellis ? 3 : embedding == nil ? 1 : 2 }

  /// The rank of the layer `name`, (outputSize, inputSize).
  public func rank(of name: String, outputSize: Int, inputSize: Int) -> Int {
    moduleRanks[name] ?? min(rank, outputSize, inputSize)
  }

  /// The layout of Q of a matrix (outputSize, inputSize), or nil without Q.
  public func quantizedLayout(outputSize: Int, inputSize: Int) -> PackedLayout? {
    format.map {
      PackedLayout($0, groupSize: groupSize, outputSize: outputSize, inputSize: inputSize)
    }
  }

  /// The layout of L in a packed format.
  ///
  /// A row has one scale for up to 128 components, or one for each block of components.
  ///
  /// The columns of L that share a scale have the same norm, so that the scale suits all of them.
  public static func leftLayout(
    _ format: WeightFormat = .int4, outputSize: Int, rank: Int, blockSize: GroupSize? = nil
  ) -> PackedLayout {
    PackedLayout(
      format, groupSize: blockSize ?? (rank <= 128 ? .row : .columns128), outputSize: outputSize,
      inputSize: rank)
  }

  /// The layout of R in a packed format: one scale for each 128 inputs of a component.
  public static func rightLayout(
    _ format: WeightFormat = .int4, rank: Int, inputSize: Int
  ) -> PackedLayout {
    PackedLayout(format, groupSize: .columns128, outputSize: rank, inputSize: inputSize)
  }

  /// The layout of outlier columns: eight bits, one scale for each row.
  public static func columnsLayout(outputSize: Int, count: Int) -> PackedLayout {
    PackedLayout(.int8, groupSize: .row, outputSize: outputSize, inputSize: count)
  }

  /// The layout of an output head in eight bits, (vocabularySize, hiddenSize).
  public static func headLayout(vocabularySize: Int, hiddenSize: Int) -> PackedLayout {
    PackedLayout(
      .int8, groupSize: .columns128, outputSize: vocabularySize, inputSize: hiddenSize)
  }

  // MARK: - Head and embedding

  /// The name of the output head, without ".weight".
  package static let headName = "lm_head"
  /// The name of the embedding, which is also the head where the two are tied.
  package static let embeddingName = "model.embed_tokens"

  /// The layout of the packed head or embedding, (vocabularySize, hiddenSize); nil for a layer's matrix, and
  /// for an embedding that is not packed.
  ///
  /// Neither has L R or a rotation.
  package func vocabularyLayout(
    of name: String, vocabularySize: Int, hiddenSize: Int
  ) -> PackedLayout? {
    switch name {
    case Self.headName: Self.headLayout(vocabularySize: vocabularySize, hiddenSize: hiddenSize)
    case Self.embeddingName:
      embedding.map {
        PackedLayout(
          $0.format, groupSize: $0.groupSize, outputSize: vocabularySize, inputSize: hiddenSize)
      }
    default: nil
    }
  }
}

extension CompressedFormat {
  /// The keys in config.json that describe the compressed weights.
  package enum Key {
    /// The key of the object that contains all other keys.
    package static let section = "quantization_config"

    // Keys that a reader needs.
    package static let method = "quant_method"
    package static let version = "format_version"
    package static let format = "format"
    package static let groupSize = "group_size"
    package static let grid = "grid"
    package static let rank = "rank"
    package static let moduleRanks = "module_ranks"
    package static let factorFormat = "lr_format"
    package static let factorBlockSize = "lr_block_size"
    package static let incoherence = "incoherence"
    package static let embeddingFormat = "embedding_format"
    package static let embeddingGroupSize = "embedding_group_size"

    // Keys that say how the model was made.
    package static let toolVersion = "tool_version"
    package static let compressionMethod = "method"
    package static let bits = "bits"
    package static let headFormat = "head_format"
    package static let outlierStorage = "outlier_storage"
    package static let outlierChannels = "outlier_channels"
    package static let seed = "seed"
    package static let damping = "damping"
    package static let unconverted = "modules_not_converted"
    package static let sourceDigest = "source_sha256"
  }
}
