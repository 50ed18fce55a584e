public import DuetRuntime

/// How the factors L and R are brought onto their grid.
public enum FactorRounding: String, Sendable, CaseIterable {
  /// Each entry to the nearest value.
  case nearest
  /// With error feedback, in the metric that each factor's error has.
  case feedback
}

/// How L R is stored and fitted.
public struct LowRankOptions: Sendable, Hashable {
  /// The rank of L R, at most what the smaller side of a matrix allows.
  public var rank = 64
  /// The bits per weight of all compressed matrices that the ranks are chosen for, or nil for one rank for
  /// all.
  public var targetBits: Double?
  /// How L and R are stored.
  public var format = FactorFormat.int4
  /// The components that are found together and share a scale in L, or nil where all are found together.
  public var blockSize: GroupSize?
  /// How L and R are rounded.
  public var rounding = FactorRounding.feedback
  /// Rounds of the alternation of L and R.
  public var innerIterations = 10

  /// Rank 64 in four bits.
  public init() {}

  /// How L and R are laid out.
  public var storage: FactorStorage { FactorStorage(format, blockSize: blockSize) }

  /// The components that are added at a time where ranks are chosen: as many as are stored together.
  ///
  /// R is stored in panels of 16 components, and L in blocks where it is found in blocks.
  public var rankStep: Int {
    if format == .f16 { return 4 }
    return blockSize.map { $0.columnCount ?? 128 } ?? 16
  }
}
