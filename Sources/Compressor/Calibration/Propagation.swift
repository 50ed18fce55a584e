/// The weights that the inputs of later layers are computed with.
public enum Propagation: String, Sendable, CaseIterable {
  /// The compressed ones, so that later layers correct for the errors of earlier ones.
  case compressed
  /// The original ones.
  case original
  /// The compressed ones, and each matrix is fitted to the outputs of the original model, not to its weights.
  ///
  /// Source: QEP, arXiv:2504.09629; see `WeightCorrection`.
  case corrected
}
