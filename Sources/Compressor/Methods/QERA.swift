internal import DuetRuntime

/// Q rounded to nearest, then repaired by one L R: QERA.
///
///     Q     <- round(W)          to nearest
///     L, R  <- fit(W - Q)        in the metric H: QERA-exact
///
/// Source: Zhang et al., QERA, arXiv:2410.06040.
public struct QERA: CompressionMethod {
  /// "qera".
  public static let name = "qera"
  /// What the method does, for help texts.
  public static let summary =
    "Q rounded to nearest, then repaired by one L R for all that is known of the inputs"

  /// How Q is stored and rounded.
  public var rounding: QuantizationOptions
  /// How L R is stored and fitted.
  public var factors: LowRankOptions

  /// The method with the values that are given.
  public init(reading choices: inout MethodChoices) {
    rounding = QuantizationOptions(reading: &choices)
    factors = LowRankOptions(reading: &choices)
  }

  /// The values of its options.
  public var choices: MethodChoices { MethodChoices(rounding, factors) }
  /// `rounding`.
  public var quantization: QuantizationOptions? { rounding }
  /// `factors`.
  public var lowRank: LowRankOptions? { factors }

  /// The operations of one rounding and one L R.
  public func operations(_ shape: MatrixShape) -> Double { factors.repairOperations(shape) }

  /// Rounds W, and fits L R to the error.
  public func decompose(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, rank: Int,
    _ algebra: LinearAlgebra
  ) throws(LinearAlgebraError) -> Decomposition {
    try rounding.repaired(by: factors, problem, metric, repairMetric: metric, rank: rank, algebra)
  }
}
