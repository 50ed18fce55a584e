package import DuetRuntime

/// A compressed linear layer: the tensors to store, and its record for the report.
package struct CompressedLinear: Sendable {
  /// The tensors with their full names, such as `<linear>.codes`.
  ///
  /// They include tensors that replace tensors of the source because the matrix was scaled.
  package internal(set) var tensors: [StoredTensor]
  /// The figures for the report.
  package internal(set) var record: MatrixRecord

  /// Tensors with their record.
  package init(tensors: [StoredTensor], record: MatrixRecord) {
    self.tensors = tensors
    self.record = record
  }

  /// The names of the tensors of the source that the stored tensors replace.
  ///
  /// A tied model may also store its embedding as the head.
  func replacedNames(in checkpoint: Checkpoint) -> [String] {
    var names = [record.name]
    if record.name == CompressedFormat.embeddingName, checkpoint.configuration.tiesEmbeddings {
      names.append(CompressedFormat.headName)
    }
    return names.map { "\($0).weight" } + replacements(in: checkpoint).map(\.name)
  }

  /// The tensors stored with the matrix that replace tensors of the source.
  func replacements(in checkpoint: Checkpoint) -> [StoredTensor] {
    tensors.filter { checkpoint.contains($0.name) }
  }
}
