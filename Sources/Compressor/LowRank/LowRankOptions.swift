public import DuetRuntime

/// How the factors L and R are rounded to their grid.
public enum FactorRounding: String, Sendable, CaseIterable {
  /// Each entry to the nearest value.
  case nearest
  /// With error feedback, in the metric of each factor's error.
  case feedback
}

/// How L R is stored and fitted.
public struct LowRankOptions: Sendable, Hashable {
  /// The rank of L R, at most what the smaller side of a matrix allows.
  public var rank = 64
  /// The bits per weight that ranks are chosen for, over all compressed matrices, or nil to use `rank` for
  /// all.
  public var targetBits: Double?
  /// How L and R are stored.
  public var format = FactorFormat.int4
  /// How many components are fitted together and share a scale in L, or nil to fit all together.
  public var blockSize: GroupSize?
  /// How L and R are rounded.
  public var rounding = FactorRounding.feedback
  /// The most rounds of the alternation of L and R.
  public var innerIterations = 10

  /// Rank 64, stored in four bits.
  public init() {}

  /// How L and R are laid out.
  public var storage: FactorStorage { FactorStorage(format, blockSize: blockSize) }

  /// The step in which ranks are chosen: the number of components that are stored together.
  ///
  /// R is stored in panels of 16 components, and L in blocks if `blockSize` is set.
  public var rankStep: Int {
    if format == .f16 { return 4 }
    return blockSize.map { $0.columnCount ?? 128 } ?? 16
  }
}
