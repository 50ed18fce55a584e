/// The weights that the inputs of later layers are computed with.
public enum Propagation: String, Sendable, CaseIterable {
  /// The compressed ones, so that later layers make up for earlier ones.
  case compressed
  /// The original ones.
  case original
  /// The compressed ones; and each matrix is fitted to the outputs that the original model has at this point,
  /// not to its own weights (arXiv 2504.09629).
  case corrected
}
