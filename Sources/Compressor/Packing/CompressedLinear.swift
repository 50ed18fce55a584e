package import DuetRuntime

/// A compressed linear layer: the tensors to store and what the report says of them.
package struct CompressedLinear: Sendable {
  /// The tensors with their full names, `<linear>.codes` and so on; and tensors of the source that
  /// change with the matrix.
  package internal(set) var tensors: [StoredTensor]
  /// The figures.
  package internal(set) var record: MatrixRecord

  /// Tensors with their record.
  package init(tensors: [StoredTensor], record: MatrixRecord) {
    self.tensors = tensors
    self.record = record
  }
}
