/// The tokens after which a model has finished.
///
/// No single file of a checkpoint names all of them: Llama-3-8B-Instruct's tokenizer names one that the
/// model never writes in a chat. So every source counts.
public struct StopTokens: Sendable, Hashable {
  /// The ids that the model's files name as ends of a sequence.
  public let declared: Set<Int>
  /// The ids of all tokens that end a text, the declared ones included.
  public let ids: Set<Int>

  /// Control tokens that end a turn wherever they occur, named by a configuration or not.
  private static let turnEnds = ["<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|im_end|>"]

  /// The union of what config.json, generation_config.json and the tokenizer's files name, and of the
  /// tokens known to end a turn.
  public init(
    configuration: [Int], generation: GenerationConfiguration, tokenizer: Tokenizer
  ) {
    declared = Set(configuration + generation.endOfSequence)
      .union(tokenizer.endOfSequence.map { [$0] } ?? [])
    ids = declared.union(
      tokenizer.addedTokens.lazy.filter { Self.turnEnds.contains($0.content) }.map(\.id))
  }

  /// Whether a text ends with the token.
  public func contains(_ id: Int) -> Bool { ids.contains(id) }
}
