public import DuetText

extension StopTokens {
  /// The union of what config.json, generation_config.json and the tokenizer's files name, and of the
  /// tokens known to end a turn.
  public init(
    configuration: [Int], generation: GenerationConfiguration, tokenizer: Tokenizer
  ) {
    self.init(named: configuration + generation.endOfSequence, tokenizer: tokenizer)
  }
}
