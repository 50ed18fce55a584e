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

/// How L and R of a matrix are laid out.
public struct FactorStorage: Sendable, Hashable {
  /// How their entries are stored.
  public var format: FactorFormat
  /// The components that were found together and share a scale in L, or nil for as many as 128.
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

/// Where the values of an integer format lie.
public enum GridKind: String, Sendable, CaseIterable {
  /// At the odd multiples of half a scale.
  case symmetric
  /// At multiples of a scale from an offset, one of which is zero.
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

/// What config.json says of compressed weights: the formats of the packed tensors.
public struct CompressedFormat: Sendable, Hashable {
  /// How Q is stored, or nil when there is no Q: then all weights are L R.
  public var format: WeightFormat?
  /// How many columns of Q share a scale.
  public var groupSize: GroupSize
  /// Where the values of Q lie: with offsets beside the scales, or without.
  public var grid: GridKind
  /// The rank of the low-rank part, where a matrix is not too small for it.
  public var rank: Int
  /// The ranks of the layers that have another one, by name.
  public var moduleRanks: [String: Int]
  /// How the low-rank factors are stored.
  public var factors: FactorStorage
  /// Which sides are rotated.
  public var incoherence: IncoherenceSides

  /// The version of the format that is read.
  static let version = 1
  /// The value of "quant_method".
  static let methodName = "duet"

  /// A description of formats.
  public init(
    format: WeightFormat?, groupSize: GroupSize, grid: GridKind = .symmetric, rank: Int,
    moduleRanks: [String: Int] = [:], factors: FactorStorage, incoherence: IncoherenceSides
  ) {
    self.format = format
    self.groupSize = groupSize
    self.grid = grid
    self.rank = rank
    self.moduleRanks = moduleRanks
    self.factors = factors
    self.incoherence = incoherence
  }

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

  /// The layout of L in a packed format: one scale for each row, of up to 128 components, or of those
  /// of a block.
  ///
  /// All components of a scale have equally long columns in L, so that it serves them alike.
  public static func leftLayout(
    _ format: WeightFormat = .int4, outputSize: Int, rank: Int, blockSize: GroupSize? = nil
  ) -> PackedLayout {
    PackedLayout(
      format, groupSize: blockSize ?? (rank <= 128 ? .row : .columns128), outputSize: outputSize,
      inputSize: rank)
  }

  /// The layout of R in a packed format: a scale for 128 inputs of a component.
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
}

extension CompressedFormat {
  /// Reads the "quantization_config" of a config.json, or nil without one.
  ///
  /// - Throws: `ConfigurationError` for weights that another program has quantised, for a later version
  ///   and for values that are not known.
  init?(_ file: ConfigurationFile) throws(ConfigurationError) {
    guard let object = try file.object("quantization_config") else { return nil }
    let method = try object.string("quant_method") ?? "an unnamed method"
    guard method == Self.methodName else {
      throw .unsupportedQuantization(path: file.path, method: method)
    }
    _ = try object.required("format_version", object.int("format_version", in: 1...Self.version))
    let format: StoredFormat = try object.choice("format")
    self.format = format.weightFormat
    groupSize = try Self.groupSize(object, "group_size")
    grid = object.value("grid") == nil ? .symmetric : try object.choice("grid")
    rank = try object.required("rank", object.int("rank", in: 0...(1 << 24)))
    factors = FactorStorage(
      try object.choice("lr_format"),
      blockSize: object.value("lr_block_size")?.isNull ?? true
        ? nil : try Self.groupSize(object, "lr_block_size"))
    incoherence = try object.choice("incoherence")
    var ranks: [String: Int] = [:]
    if let modules = try object.object("module_ranks") {
      for name in modules.keys {
        ranks[name] = try modules.required(name, modules.int(name, in: 0...(1 << 24)))
      }
    }
    moduleRanks = ranks
    if grid == .asymmetric, self.format == nil || self.format == .e8p {
      throw .unsupportedValue(
        path: file.path, key: object.name("grid"), value: grid.rawValue,
        supported: "symmetric where the format is \(format.rawValue)")
    }
    if self.format == nil, factors.format == .f16 {
      throw .unsupportedValue(
        path: file.path, key: object.name("lr_format"), value: factors.format.rawValue,
        supported: "int2, int3, int4 or int8 where the format is none")
    }
    if self.format == nil,
      let empty = ([("rank", rank)] + ranks.sorted { $0.key < $1.key })
        .first(where: { $0.1 == 0 })
    {
      throw .unsupportedValue(
        path: file.path, key: object.name(empty.0), value: "0",
        supported: "1 and more where the format is none")
    }
  }

  /// What "format" says.
  private enum StoredFormat: String, CaseIterable {
    case int2, int3, int4, e8p, none

    var weightFormat: WeightFormat? {
      switch self {
      case .int2: .int2
      case .int3: .int3
      case .int4: .int4
      case .e8p: .e8p
      case .none: nil
      }
    }
  }

  /// A group size: a number of columns, or "row".
  private static func groupSize(
    _ object: ConfigurationFile, _ key: String
  ) throws(ConfigurationError) -> GroupSize {
    if let value = object.value(key), value.kind == .string { return try object.choice(key) }
    let count = try object.required(key, object.int(key, in: 1...(1 << 24)))
    guard let size = GroupSize(columnCount: count) else {
      throw .unsupportedValue(
        path: object.path, key: object.name(key), value: "\(count)",
        supported: "32, 64, 128 or \"row\"")
    }
    return size
  }
}

extension ConfigurationFile {
  /// The value of a key that must be there.
  fileprivate func required<Value>(
    _ key: String, _ value: Value?
  ) throws(ConfigurationError) -> Value {
    guard let value else { throw .missing(path: path, key: name(key)) }
    return value
  }

  /// One of the cases of `Choice`.
  fileprivate func choice<Choice: RawRepresentable & CaseIterable>(
    _ key: String
  ) throws(ConfigurationError) -> Choice where Choice.RawValue == String {
    let text = try required(key, string(key))
    guard let choice = Choice(rawValue: text) else {
      throw .unsupportedValue(
        path: path, key: name(key), value: text,
        supported: Choice.allCases.map(\.rawValue).joined(separator: ", "))
    }
    return choice
  }
}
