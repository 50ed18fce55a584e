public import DuetRuntime

extension Session: LogitSource {
  /// The number of logits after each token.
  public var vocabularySize: Int { model.configuration.vocabularySize }

  /// Removes all tokens.
  public mutating func restart() { truncate(to: 0) }
}
