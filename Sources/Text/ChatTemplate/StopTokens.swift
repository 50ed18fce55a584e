/// The tokens after which a model has finished.
///
/// No single file of a checkpoint names all of them: Llama-3-8B-Instruct's tokenizer names one that
/// the model never writes in a chat. So the tokens of all sources are used.
public struct StopTokens: Sendable, Hashable {
  /// The ids that the model's files name as ends of a sequence.
  public let declared: Set<Int>
  /// The ids of all tokens that end a text, the declared ones included.
  public let ids: Set<Int>

  /// Control tokens that always end a turn, whether or not a configuration names them.
  private static let turnEnds = ["<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|im_end|>"]

  /// The tokens that a model's files name, and those known to end a turn.
  ///
  /// - Parameters:
  ///   - named: The ids that the files name as ends of a sequence.
  ///   - tokenizer: The model's tokenizer, whose end-of-sequence token is added.
  public init(named: [Int], tokenizer: Tokenizer) {
    declared = Set(named).union(tokenizer.endOfSequence.map { [$0] } ?? [])
    ids = declared.union(
      tokenizer.addedTokens.lazy.filter { Self.turnEnds.contains($0.content) }.map(\.id))
  }

  /// Whether a text ends with the token.
  public func contains(_ id: Int) -> Bool { ids.contains(id) }
}
