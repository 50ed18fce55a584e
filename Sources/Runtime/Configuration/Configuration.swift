/// The shape and constants of a Llama, Mistral or Qwen2 model, as in its config.json.
public struct Configuration: Sendable, Hashable {
  /// The families of models.
  public enum Architecture: String, Sendable, Hashable {
    /// Llama 2, 3, 3.1, 3.2 and similar models.
    case llama
    /// Mistral 7B and similar models, which may attend to a sliding window.
    case mistral
    /// Qwen2 and Qwen2.5, whose queries, keys and values have biases.
    case qwen2
  }

  /// How the frequencies of the rotary embedding are scaled for longer contexts.
  public enum RotaryScaling: Sendable, Hashable {
    /// Not at all.
    case none
    /// All frequencies are divided by `factor`.
    case linear(factor: Double)
    /// Low frequencies are divided by `factor`, high ones are kept, and those between are interpolated.
    ///
    /// A frequency is low when its wavelength exceeds `originalContextLength / lowFrequencyFactor`
    /// tokens, high when below `originalContextLength / highFrequencyFactor`.
    case llama3(
      factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double,
      originalContextLength: Int)
    /// YaRN: low frequencies are divided by `factor`, high ones are kept, and those between are
    /// interpolated over the pairs of a head; cosines and sines are multiplied by `attentionFactor`.
    ///
    /// A frequency is high when it turns at least `fastTurns` times in `originalContextLength` tokens,
    /// low when at most `slowTurns` times; with `roundsBounds` the pairs where that happens are rounded
    /// outwards.
    case yarn(
      factor: Double, attentionFactor: Double, fastTurns: Double, slowTurns: Double,
      originalContextLength: Int, roundsBounds: Bool)
  }

  /// The family.
  public var architecture: Architecture
  /// The model width: numbers per token between layers.
  public var hiddenSize: Int
  /// The width inside the feed-forward networks.
  public var intermediateSize: Int
  /// The number of decoder layers.
  public var layerCount: Int
  /// The number of query heads.
  public var headCount: Int
  /// The number of key and value heads, a divisor of `headCount`.
  public var keyValueHeadCount: Int
  /// The size of a head, an even number; times `headCount` it may differ from `hiddenSize`.
  public var headSize: Int
  /// The number of rows of the embedding, which may exceed the number of tokens.
  public var vocabularySize: Int
  /// The base of the rotary embedding's frequencies.
  public var rotaryBase: Double
  /// How the frequencies of the rotary embedding are scaled.
  public var rotaryScaling: RotaryScaling
  /// The number added to the mean square in RMSNorm.
  public var normEpsilon: Double
  /// The number of tokens the model was made for.
  public var contextLength: Int
  /// The number of tokens each token sees, itself included, or nil for all.
  public var slidingWindow: Int?
  /// Whether the output head is the embedding.
  public var tiesEmbeddings: Bool
  /// Whether the query, key and value projections have biases; except in Qwen2 the output projection
  /// has one too.
  public var hasAttentionBias: Bool
  /// Whether the three feed-forward projections have biases.
  public var hasFeedForwardBias: Bool
  /// The token a text begins with.
  public var beginningOfSequence: Int?
  /// The tokens that end a text.
  public var endOfSequence: [Int]
  /// How the weights are packed, or nil when they are dense.
  public var compression: CompressedFormat?

  /// A configuration of the given values, which are not checked.
  ///
  /// `keyValueHeadCount` defaults to `headCount` and `headSize` to `hiddenSize / headCount`.
  public init(
    architecture: Architecture = .llama, hiddenSize: Int, intermediateSize: Int, layerCount: Int,
    headCount: Int, keyValueHeadCount: Int? = nil, headSize: Int? = nil, vocabularySize: Int,
    rotaryBase: Double = 10_000, rotaryScaling: RotaryScaling = .none, normEpsilon: Double = 1e-5,
    contextLength: Int = 2048, slidingWindow: Int? = nil, tiesEmbeddings: Bool = false,
    hasAttentionBias: Bool = false, hasFeedForwardBias: Bool = false,
    beginningOfSequence: Int? = 1, endOfSequence: [Int] = [2]
  ) {
    precondition(headCount > 0, "\(headCount) heads")
    self.architecture = architecture
    self.hiddenSize = hiddenSize
    self.intermediateSize = intermediateSize
    self.layerCount = layerCount
    self.headCount = headCount
    self.keyValueHeadCount = keyValueHeadCount ?? headCount
    self.headSize = headSize ?? hiddenSize / headCount
    self.vocabularySize = vocabularySize
    self.rotaryBase = rotaryBase
    self.rotaryScaling = rotaryScaling
    self.normEpsilon = normEpsilon
    self.contextLength = contextLength
    self.slidingWindow = slidingWindow
    self.tiesEmbeddings = tiesEmbeddings
    self.hasAttentionBias = hasAttentionBias
    self.hasFeedForwardBias = hasFeedForwardBias
    self.beginningOfSequence = beginningOfSequence
    self.endOfSequence = endOfSequence
  }

  /// Whether the output projection of the attention has a bias.
  public var hasAttentionOutputBias: Bool { hasAttentionBias && architecture != .qwen2 }

  /// The number of query heads that share a key-value head.
  public var queriesPerKeyValueHead: Int { headCount / keyValueHeadCount }

  /// The width of all query heads together.
  public var queryWidth: Int { headCount * headSize }

  /// The width of all key heads, or all value heads, together.
  public var keyValueWidth: Int { keyValueHeadCount * headSize }
}
