internal import DuetText

extension CompressedFormat {
  /// Reads the "quantization_config" of a config.json, or nil without one.
  ///
  /// - Throws: `ConfigurationError` for weights that another program has quantised, for a later version
  ///   and for values that are not known.
  init?(_ file: ConfigurationFile) throws(ConfigurationError) {
    guard let object = try file.object(Key.section) else { return nil }
    let method = try object.string(Key.method) ?? "an unnamed method"
    guard method == Self.methodName else {
      throw .unsupportedQuantization(path: file.path, method: method)
    }
    _ = try object.required(Key.version, object.int(Key.version, in: 1...Self.version))
    let format = try object.required(Key.format, object.string(Key.format))
    self.format = Self.quantizedFormats.first { $0.rawValue == format }
    guard self.format != nil || format == Self.withoutQuantized else {
      throw object.unsupported(
        Key.format, format, Self.quantizedFormats.map(\.rawValue) + [Self.withoutQuantized])
    }
    groupSize = try Self.groupSize(object, Key.groupSize)
    grid = object.value(Key.grid) == nil ? .symmetric : try object.choice(Key.grid)
    rank = try object.required(Key.rank, object.int(Key.rank, in: 0...(1 << 24)))
    factors = FactorStorage(
      try object.choice(Key.factorFormat),
      blockSize: object.value(Key.factorBlockSize)?.isNull ?? true
        ? nil : try Self.groupSize(object, Key.factorBlockSize))
    incoherence = try object.choice(Key.incoherence)
    embedding = try Self.embedding(object)
    var ranks: [String: Int] = [:]
    if let modules = try object.object(Key.moduleRanks) {
      for name in modules.keys {
        ranks[name] = try modules.required(name, modules.int(name, in: 0...(1 << 24)))
      }
    }
    moduleRanks = ranks
    if grid == .asymmetric, self.format?.coding != .integers {
      throw .unsupportedValue(
        path: file.path, key: object.name(Key.grid), value: grid.rawValue,
        supported: "symmetric where the format is \(format)")
    }
    if self.format?.coding == .trellis, groupSize != .row {
      throw .unsupportedValue(
        path: file.path, key: object.name(Key.groupSize), value: groupSize.rawValue,
        supported: "\"row\" where the format is \(format)")
    }
    if self.format == nil, factors.format == .f16 {
      throw .unsupportedValue(
        path: file.path, key: object.name(Key.factorFormat), value: factors.format.rawValue,
        supported: "int2, int3, int4 or int8 where the format is none")
    }
    if self.format == nil,
      let empty = ([(Key.rank, rank)] + ranks.sorted { $0.key < $1.key })
        .first(where: { $0.1 == 0 })
    {
      throw .unsupportedValue(
        path: file.path, key: object.name(empty.0), value: "0",
        supported: "1 and more where the format is none")
    }
  }

  /// How the embedding is stored; without the key it is not packed.
  private static func embedding(
    _ object: ConfigurationFile
  ) throws(ConfigurationError) -> EmbeddingStorage? {
    guard let name = try object.string(Key.embeddingFormat) else { return nil }
    guard let format = EmbeddingStorage.formats.first(where: { $0.rawValue == name }) else {
      throw object.unsupported(Key.embeddingFormat, name, EmbeddingStorage.formats.map(\.rawValue))
    }
    return EmbeddingStorage(format, groupSize: try groupSize(object, Key.embeddingGroupSize))
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
      throw unsupported(key, text, Choice.allCases.map(\.rawValue))
    }
    return choice
  }

  /// The error for a value that is not one of `supported`.
  fileprivate func unsupported(
    _ key: String, _ value: String, _ supported: [String]
  ) -> ConfigurationError {
    .unsupportedValue(
      path: path, key: name(key), value: value, supported: supported.joined(separator: ", "))
  }
}
