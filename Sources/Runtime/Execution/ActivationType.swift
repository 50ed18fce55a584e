/// What packed matrices are multiplied with; dense ones always multiply single precision.
public enum ActivationType: String, Sendable, CaseIterable {
  /// Eight bits with a scale per token and 128 numbers: what the fast kernels take.
  case int8
  /// Single precision: each row is decoded to Float first, which is slow.
  ///
  /// It is what the cost of `int8` is measured against.
  case f32
}
