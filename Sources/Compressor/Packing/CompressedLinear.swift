public import DuetRuntime

/// A compressed linear layer: the tensors to store and what the report says of them.
public struct CompressedLinear: Sendable {
  /// The tensors with their full names, `<linear>.codes` and so on; and tensors of the source that
  /// change with the matrix.
  public internal(set) var tensors: [StoredTensor]
  /// The figures.
  public internal(set) var record: MatrixRecord

  /// Tensors with their record.
  public init(tensors: [StoredTensor], record: MatrixRecord) {
    self.tensors = tensors
    self.record = record
  }
}
