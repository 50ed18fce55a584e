internal import DuetSystem

/// The settings for generating text that a model's makers recommend, as in its generation_config.json.
public struct GenerationConfiguration: Sendable, Hashable {
  /// The tokens that end a text, besides those of config.json; often more complete than those.
  public var endOfSequence: [Int] = []
  /// The token a text begins with.
  public var beginningOfSequence: Int?
  /// Whether to sample at all; false means always the most probable token.
  public var samples: Bool?
  /// The number that logits are divided by.
  public var temperature: Double?
  /// The number of most probable tokens to choose from; 0 means all.
  public var topK: Int?
  /// The share of the probability to choose from.
  public var topP: Double?
  /// The share of the highest probability that a token must have.
  public var minP: Double?
  /// The number that logits of tokens already seen are divided by; 1 means no penalty.
  public var repetitionPenalty: Double?

  /// A configuration without any settings.
  public init() {}

  /// Reads the generation_config.json at `path`, in which every key may be absent.
  ///
  /// - Throws: `ConfigurationError` naming the key with a wrong type or an invalid value.
  public init(contentsOf path: String) throws(ConfigurationError) {
    try self.init(ConfigurationFile(contentsOf: path))
  }

  /// Reads generation_config.json in `folder`; without such a file there are no settings.
  public init(folder: String) throws(ConfigurationError) {
    do throws(ConfigurationError) {
      try self.init(contentsOf: "\(folder)/generation_config.json")
    } catch {
      guard case .file(.notFound) = error else { throw error }
      self.init()
    }
  }

  /// Reads `json` as the text of a generation_config.json; `path` is for messages.
  public init(parsing json: [UInt8], path: String) throws(ConfigurationError) {
    try self.init(ConfigurationFile(parsing: json, path: path))
  }

  private init(_ file: ConfigurationFile) throws(ConfigurationError) {
    let tokens = Configuration.tokens
    endOfSequence = try file.ints("eos_token_id", in: tokens) ?? []
    beginningOfSequence = try file.int("bos_token_id", in: tokens)
    samples = try file.bool("do_sample")
    temperature = try file.double("temperature", from: 0, allowsLowest: true, to: 1000)
    // vLLM writes -1 for all tokens, transformers 0.
    topK = try file.int("top_k", in: -1...tokens.upperBound).map { max(0, $0) }
    topP = try file.double("top_p", from: 0, allowsLowest: true, to: 1)
    minP = try file.double("min_p", from: 0, allowsLowest: true, to: 1)
    repetitionPenalty = try file.double("repetition_penalty", from: 0, to: 1000)
  }
}
