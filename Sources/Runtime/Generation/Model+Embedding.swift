package import DuetSystem

extension Model {
  /// Fills the residual stream with the embeddings of `tokens`, as it is before the first layer.
  ///
  /// - Parameters:
  ///   - tokens: n ids.
  ///   - hidden: (n, hiddenSize), overwritten; further rows are left unchanged.
  /// - Throws: `GenerationError.tokenOutOfRange`; the rows of the tokens before it are then written.
  package func embed(
    _ tokens: ArraySlice<Int>, into hidden: inout Buffer<Float>
  ) throws(GenerationError) {
    let size = configuration.hiddenSize
    precondition(
      tokens.count * size <= hidden.count,
      "\(tokens.count) tokens of \(size) numbers in \(hidden.count)")
    for (index, token) in tokens.enumerated() {
      guard token >= 0, token < embedding.rowCount else {
        throw .tokenOutOfRange(id: token, vocabularySize: embedding.rowCount)
      }
      unsafe embedding.copy(row: token, to: hidden.pointer + index * size)
    }
  }
}
