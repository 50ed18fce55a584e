internal import DuetText

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
