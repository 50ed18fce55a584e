/// The type of the activations that packed matrices multiply; dense ones always multiply Float.
public enum ActivationType: String, Sendable, CaseIterable {
  /// Eight bits, with a scale for each token and group of 128 numbers; the fast kernels need it.
  case int8
  /// Single precision: each row of weights is decoded to Float first, which is slow.
  ///
  /// It is the reference for the loss of accuracy by `int8`.
  case f32
}
