extension Configuration {
  /// The range of numbers of rows, columns, heads, layers or tokens.
  ///
  /// The bound keeps every product of two of them, and of one of them with an element size, far from
  /// overflow; the largest Llama has a dimension of 128,256.
  private static let dimensions = 1...(1 << 24)

  /// Reads the config.json at `path`.
  ///
  /// Absent keys take the values that transformers gives them, which differ between the families. The
  /// rotary embedding is read in every spelling; see `RotarySettings`.
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

    let defaults = Defaults(architecture)
    func dimension(_ key: String, default fallback: Int) throws(ConfigurationError) -> Int {
      try file.int(key, in: Self.dimensions) ?? fallback
    }
    let hiddenSize = try dimension("hidden_size", default: 4096)
    let headCount = try dimension("num_attention_heads", default: 32)
    let layerCount = try dimension("num_hidden_layers", default: 32)
    let keyValueDefault =
      file.isNull("num_key_value_heads") ? headCount : defaults.keyValueHeadCount ?? headCount
    let keyValueHeadCount = try dimension("num_key_value_heads", default: keyValueDefault)
    guard headCount % keyValueHeadCount == 0 else {
      throw .headsNotDivisible(
        path: file.path, headCount: headCount, keyValueHeadCount: keyValueHeadCount)
    }
    let headSize = try Self.headSize(file, hiddenSize: hiddenSize, headCount: headCount)
    let contextLength = try dimension(
      "max_position_embeddings", default: defaults.contextLength)
    let rotary = try RotarySettings(file, contextLength: contextLength)

    self.init(
      architecture: architecture,
      hiddenSize: hiddenSize,
      intermediateSize: try dimension("intermediate_size", default: defaults.intermediateSize),
      layerCount: layerCount,
      headCount: headCount,
      keyValueHeadCount: keyValueHeadCount,
      headSize: headSize,
      vocabularySize: try dimension("vocab_size", default: defaults.vocabularySize),
      rotaryBase: rotary.base,
      rotaryScaling: rotary.scaling,
      normEpsilon: try file.double("rms_norm_eps", from: 0, to: 1) ?? 1e-6,
      contextLength: contextLength,
      slidingWindow: try Self.slidingWindow(
        file, architecture: architecture, layerCount: layerCount),
      tiesEmbeddings: try file.bool("tie_word_embeddings") ?? false,
      // Mistral has no biases and Qwen2 those of queries, keys and values, whatever the file says.
      hasAttentionBias: try file.bool("attention_bias") ?? false && architecture == .llama
        || architecture == .qwen2,
      hasFeedForwardBias: try file.bool("mlp_bias") ?? false && architecture == .llama,
      beginningOfSequence: file.isNull("bos_token_id")
        ? nil : try file.int("bos_token_id", in: Self.tokens) ?? defaults.beginningOfSequence,
      endOfSequence: file.isNull("eos_token_id")
        ? [] : try file.ints("eos_token_id", in: Self.tokens) ?? defaults.endOfSequence)
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
    // transformers has two names for SiLU.
    if let activation = try file.string("hidden_act"), activation != "silu", activation != "swish" {
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
    _ file: ConfigurationFile, architecture: Architecture, layerCount: Int
  ) throws(ConfigurationError) -> Int? {
    switch architecture {
    // Llama has no such key.
    case .llama: return nil
    // For Mistral null means all tokens and absence the published 4096.
    case .mistral:
      return file.isNull("sliding_window")
        ? nil : try file.int("sliding_window", in: dimensions) ?? 4096
    // Qwen2 has a window only where "use_sliding_window" is true, and only in the layers from
    // "max_window_layers" on, unless "layer_types" names them.
    case .qwen2:
      guard try file.bool("use_sliding_window") ?? false, !file.isNull("sliding_window") else {
        return nil
      }
      let window = try file.int("sliding_window", in: dimensions) ?? 4096
      let first = try file.int("max_window_layers", in: 0...dimensions.upperBound) ?? 28
      let types = try file.strings("layer_types")
      let sliding =
        types.map { $0.count { $0 == "sliding_attention" } } ?? max(0, layerCount - first)
      if sliding == 0 { return nil }
      guard sliding == types?.count ?? layerCount else {
        throw .unsupportedValue(
          path: file.path, key: types == nil ? "max_window_layers" : "layer_types",
          value: "a sliding window in \(sliding) of \(layerCount) layers",
          supported: "one in all layers or in none")
      }
      return window
    }
  }

  /// The values of keys that a file leaves out.
  private struct Defaults {
    var intermediateSize = 11008
    /// nil: as many as there are query heads.
    var keyValueHeadCount: Int?
    var vocabularySize = 32000
    var contextLength = 2048
    var beginningOfSequence: Int? = 1
    var endOfSequence = [2]

    init(_ architecture: Architecture) {
      switch architecture {
      case .llama: break
      case .mistral:
        intermediateSize = 14336
        keyValueHeadCount = 8
        contextLength = 131072
      case .qwen2:
        intermediateSize = 22016
        keyValueHeadCount = 32
        vocabularySize = 151936
        contextLength = 32768
        beginningOfSequence = nil
        endOfSequence = []
      }
    }
  }
}
