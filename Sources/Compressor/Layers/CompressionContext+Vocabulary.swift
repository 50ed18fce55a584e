internal import DuetRuntime

/// The embedding and the output head, which are compressed or stay as they are.
extension CompressionContext {
  /// The embedding of the source when it is to be compressed; nil when it stays as it is.
  ///
  /// An embedding of 16 bits stays when the plan asks for F16.
  ///
  /// - Throws: `CheckpointError`.
  func embeddingToCompress() throws(CheckpointError) -> StoredTensor? {
    guard let format = plan.embeddingFormat else { return nil }
    let stored = try vocabularyTensor(Model.storedEmbeddingName(checkpoint))
    return format == .f16 && stored.elementType != .f32 ? nil : stored
  }

  /// The output head of the source when it is to be compressed; nil when it stays as it is.
  ///
  /// A head that is tied to the embedding is compressed as the embedding. A head of 16 bits stays when the
  /// plan asks for F16.
  ///
  /// - Throws: `CheckpointError`.
  func headToCompress() throws(CheckpointError) -> StoredTensor? {
    let name = CompressedFormat.headName
    if checkpoint.configuration.tiesEmbeddings || plan.keeps(name) { return nil }
    let stored = try vocabularyTensor(name)
    return plan.headFormat == .f16 && stored.elementType != .f32 ? nil : stored
  }

  private func vocabularyTensor(_ name: String) throws(CheckpointError) -> StoredTensor {
    let configuration = checkpoint.configuration
    return try checkpoint.tensor(
      named: "\(name).weight", shape: [configuration.vocabularySize, configuration.hiddenSize])
  }
}
