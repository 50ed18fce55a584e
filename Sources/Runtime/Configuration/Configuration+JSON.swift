extension Configuration {
  /// The range of numbers of rows, columns, heads, layers or tokens.
  ///
  /// The bound keeps every product of two of them, and of one of them with an element size, far from
  /// overflow; the largest Llama has a dimension of 128,256.
  private static let dimensions = 1...(1 << 24)

  /// Reads the config.json at `path`.
  ///
  /// Absent keys take the values that transformers gives them, which differ between Llama and
  /// Mistral. The rotary embedding is read in both spellings, "rope_theta" with "rope_scaling" and
  /// "rope_parameters".
  ///
  /// - Throws: `ConfigurationError` naming the key for everything that would make the model compute
  ///   something else than its makers meant.
  public init(contentsOf path: String) throws(ConfigurationError) {
    try self.init(ConfigurationFile(contentsOf: path))
  }

  /// Reads `json` as the text of a config.json; `path` is for messages.
  public init(parsing json: [UInt8], path: String) throws(ConfigurationError) {
    try self.init(ConfigurationFile(parsing: json, path: path))
  }

  private init(_ file: ConfigurationFile) throws(ConfigurationError) {
    let architecture = try Self.architecture(file)
    try Self.refuseUnsupported(file)

    func dimension(_ key: String, default fallback: Int) throws(ConfigurationError) -> Int {
      try file.int(key, in: Self.dimensions) ?? fallback
    }
    let hiddenSize = try dimension("hidden_size", default: 4096)
    let headCount = try dimension("num_attention_heads", default: 32)
    let keyValueDefault =
      architecture == .mistral && !file.isNull("num_key_value_heads") ? 8 : headCount
    let keyValueHeadCount = try dimension("num_key_value_heads", default: keyValueDefault)
    guard headCount % keyValueHeadCount == 0 else {
      throw .headsNotDivisible(
        path: file.path, headCount: headCount, keyValueHeadCount: keyValueHeadCount)
    }
    let headSize = try Self.headSize(file, hiddenSize: hiddenSize, headCount: headCount)
    let rotary = try RotarySettings(file)

    self.init(
      architecture: architecture,
      hiddenSize: hiddenSize,
      intermediateSize: try dimension(
        "intermediate_size", default: architecture == .mistral ? 14336 : 11008),
      layerCount: try dimension("num_hidden_layers", default: 32),
      headCount: headCount,
      keyValueHeadCount: keyValueHeadCount,
      headSize: headSize,
      vocabularySize: try dimension("vocab_size", default: 32000),
      rotaryBase: rotary.base,
      rotaryScaling: rotary.scaling,
      normEpsilon: try file.double("rms_norm_eps", from: 0, to: 1) ?? 1e-6,
      contextLength: try dimension(
        "max_position_embeddings", default: architecture == .mistral ? 131072 : 2048),
      slidingWindow: try Self.slidingWindow(file, architecture: architecture),
      tiesEmbeddings: try file.bool("tie_word_embeddings") ?? false,
      // Mistral has no biases, whatever the file says.
      hasAttentionBias: try file.bool("attention_bias") ?? false && architecture == .llama,
      hasFeedForwardBias: try file.bool("mlp_bias") ?? false && architecture == .llama,
      beginningOfSequence: file.isNull("bos_token_id")
        ? nil : try file.int("bos_token_id", in: Self.tokens) ?? 1,
      endOfSequence: file.isNull("eos_token_id")
        ? [] : try file.ints("eos_token_id", in: Self.tokens) ?? [2])
    compression = try CompressedFormat(file)
  }

  /// Token ids that a vocabulary may hold.
  static let tokens = 0...(1 << 24) - 1

  private static func architecture(
    _ file: ConfigurationFile
  ) throws(ConfigurationError) -> Architecture {
    guard let name = try file.string("model_type") else {
      throw .missing(path: file.path, key: "model_type")
    }
    guard let architecture = Architecture(rawValue: name) else {
      throw .unsupportedModelType(path: file.path, value: name)
    }
    return architecture
  }

  private static func refuseUnsupported(_ file: ConfigurationFile) throws(ConfigurationError) {
    if let activation = try file.string("hidden_act"), activation != "silu" {
      throw .unsupportedActivation(path: file.path, value: activation)
    }
    // The type of the weights is in their files; here only a contradiction is refused.
    if let type = try file.string("dtype"), let older = try file.string("torch_dtype"),
      type != older
    {
      throw .conflict(path: file.path, key: "torch_dtype", otherKey: "dtype")
    }
  }

  private static func headSize(
    _ file: ConfigurationFile, hiddenSize: Int, headCount: Int
  ) throws(ConfigurationError) -> Int {
    let headSize: Int
    if let given = try file.int("head_dim", in: dimensions) {
      headSize = given
    } else {
      guard hiddenSize % headCount == 0 else {
        throw .hiddenSizeNotDivisible(
          path: file.path, hiddenSize: hiddenSize, headCount: headCount)
      }
      headSize = hiddenSize / headCount
    }
    guard headSize % 2 == 0 else { throw .oddHeadSize(path: file.path, headSize: headSize) }
    guard dimensions.contains(headSize * headCount) else {
      throw .outOfRange(
        path: file.path, key: "head_dim", value: "\(headSize) for each of \(headCount) heads",
        allowed: "\(dimensions.upperBound) for all heads together")
    }
    return headSize
  }

  private static func slidingWindow(
    _ file: ConfigurationFile, architecture: Architecture
  ) throws(ConfigurationError) -> Int? {
    // Llama has no such key; for Mistral null means all tokens and absence the published 4096.
    guard architecture == .mistral, !file.isNull("sliding_window") else { return nil }
    return try file.int("sliding_window", in: dimensions) ?? 4096
  }
}

/// The rotary embedding's settings, from either spelling.
private struct RotarySettings {
  let base: Double
  let scaling: Configuration.RotaryScaling

  init(_ file: ConfigurationFile) throws(ConfigurationError) {
    try Self.refusePartial(file)
    let oldBase = try Self.base(file)
    var oldScaling: Configuration.RotaryScaling?
    if let scaling = try file.object("rope_scaling") {
      oldScaling = try Self.scaling(scaling, key: "rope_scaling")
    }
    var newBase: Double?
    var newScaling: Configuration.RotaryScaling?
    if let parameters = try file.object("rope_parameters") {
      try Self.refusePartial(parameters)
      // One object for each kind of layer: models with several kinds are not supported.
      for key in ["full_attention", "sliding_attention"] where parameters.value(key) != nil {
        throw .unsupportedValue(
          path: file.path, key: parameters.name(key), value: "present",
          supported: "one set of parameters for all layers")
      }
      newBase = try Self.base(parameters)
      newScaling = try Self.scaling(parameters, key: "rope_parameters")
    }
    if let oldBase, let newBase, oldBase != newBase {
      throw .conflict(path: file.path, key: "rope_theta", otherKey: "rope_parameters.rope_theta")
    }
    if let oldScaling, let newScaling, oldScaling != newScaling {
      throw .conflict(path: file.path, key: "rope_scaling", otherKey: "rope_parameters")
    }
    base = newBase ?? oldBase ?? 10_000
    scaling = newScaling ?? oldScaling ?? .none
  }

  private static func base(_ file: ConfigurationFile) throws(ConfigurationError) -> Double? {
    // The largest base seen in published models is 1e9 or so; angles are computed in Double.
    try file.double("rope_theta", from: 0, to: 1e15)
  }

  private static func refusePartial(_ file: ConfigurationFile) throws(ConfigurationError) {
    if let share = try file.double("partial_rotary_factor", from: 0, to: 1), share != 1 {
      throw .unsupportedValue(
        path: file.path, key: file.name("partial_rotary_factor"), value: "\(share)",
        supported: "1")
    }
  }

  private static func scaling(
    _ file: ConfigurationFile, key: String
  ) throws(ConfigurationError) -> Configuration.RotaryScaling {
    let type = try file.string("rope_type")
    let olderType = try file.string("type")
    if let type, let olderType, type != olderType {
      throw .conflict(path: file.path, key: file.name("type"), otherKey: file.name("rope_type"))
    }
    func factor(_ key: String) throws(ConfigurationError) -> Double {
      guard let value = try file.double(key, from: 0, to: 1e6) else {
        throw .missing(path: file.path, key: file.name(key))
      }
      return value
    }
    switch type ?? olderType ?? "default" {
    case "default": return .none
    case "linear": return .linear(factor: try factor("factor"))
    case "llama3":
      let low = try factor("low_freq_factor")
      let high = try factor("high_freq_factor")
      guard low < high else {
        throw .outOfRange(
          path: file.path, key: file.name("high_freq_factor"), value: "\(high)",
          allowed: "above \"low_freq_factor\" (\(low))")
      }
      let lengthKey = "original_max_position_embeddings"
      guard let length = try file.int(lengthKey, in: 1...(1 << 24)) else {
        throw .missing(path: file.path, key: file.name(lengthKey))
      }
      return .llama3(
        factor: try factor("factor"), lowFrequencyFactor: low, highFrequencyFactor: high,
        originalContextLength: length)
    case let other:
      throw .unsupportedRotaryType(path: file.path, key: key, value: other)
    }
  }
}
