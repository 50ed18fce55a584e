/// How the low-rank factors of a compressed model are stored.
public enum FactorFormat: String, Sendable, CaseIterable {
  /// Four bits with group scales.
  case int4
  /// Half precision.
  case f16
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
  /// How Q is stored.
  public var format: WeightFormat
  /// How many columns of Q share a scale.
  public var groupSize: GroupSize
  /// The rank of the low-rank part, where a matrix is not too small for it.
  public var rank: Int
  /// The ranks of the layers that have another one, by name.
  public var moduleRanks: [String: Int]
  /// How the low-rank factors are stored.
  public var factorFormat: FactorFormat
  /// Which sides are rotated.
  public var incoherence: IncoherenceSides

  /// The version of the format that is read.
  static let version = 1
  /// The value of "quant_method".
  static let methodName = "duet"

  /// A description of formats.
  public init(
    format: WeightFormat, groupSize: GroupSize, rank: Int, moduleRanks: [String: Int] = [:],
    factorFormat: FactorFormat, incoherence: IncoherenceSides
  ) {
    self.format = format
    self.groupSize = groupSize
    self.rank = rank
    self.moduleRanks = moduleRanks
    self.factorFormat = factorFormat
    self.incoherence = incoherence
  }

  /// The rank of the layer `name`, (outputSize, inputSize).
  func rank(of name: String, outputSize: Int, inputSize: Int) -> Int {
    moduleRanks[name] ?? min(rank, outputSize, inputSize)
  }

  /// The layout of L in four bits: one scale for each row, of up to 128 components.
  ///
  /// All components have equally long columns in L, so that a scale serves them alike.
  public static func leftLayout(outputSize: Int, rank: Int) -> PackedLayout {
    PackedLayout(
      .int4, groupSize: rank <= 128 ? .row : .columns128, outputSize: outputSize, inputSize: rank)
  }

  /// The layout of R in four bits: a scale for 128 inputs of a component.
  public static func rightLayout(rank: Int, inputSize: Int) -> PackedLayout {
    PackedLayout(.int4, groupSize: .columns128, outputSize: rank, inputSize: inputSize)
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
    format = try object.choice("format")
    guard format != .int8 else {
      throw .unsupportedValue(
        path: file.path, key: object.name("format"), value: format.rawValue,
        supported: "int2, int3, int4 or e8p")
    }
    groupSize = try Self.groupSize(object)
    rank = try object.required("rank", object.int("rank", in: 0...(1 << 24)))
    factorFormat = try object.choice("lr_format")
    incoherence = try object.choice("incoherence")
    var ranks: [String: Int] = [:]
    if let modules = try object.object("module_ranks") {
      for name in modules.keys {
        ranks[name] = try modules.required(name, modules.int(name, in: 0...(1 << 24)))
      }
    }
    moduleRanks = ranks
  }

  /// The group size: a number of columns, or "row".
  private static func groupSize(_ object: ConfigurationFile) throws(ConfigurationError) -> GroupSize
  {
    if let value = object.value("group_size"), value.kind == .string {
      return try object.choice("group_size")
    }
    let count = try object.required("group_size", object.int("group_size", in: 1...(1 << 24)))
    guard let size = GroupSize(columnCount: count) else {
      throw .unsupportedValue(
        path: object.path, key: object.name("group_size"), value: "\(count)",
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
