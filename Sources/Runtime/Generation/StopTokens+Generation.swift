public import DuetText

extension StopTokens {
  /// The stop tokens that config.json, generation_config.json and the tokenizer's files name.
  ///
  /// The tokens that are known to end a turn are added.
  public init(
    configuration: [Int], generation: GenerationConfiguration, tokenizer: Tokenizer
  ) {
    self.init(named: configuration + generation.endOfSequence, tokenizer: tokenizer)
  }
}
