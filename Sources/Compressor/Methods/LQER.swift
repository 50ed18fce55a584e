internal import DuetRuntime

/// Q rounded to nearest, then repaired by one L R that depends only on the sizes of the inputs: LQER.
///
///     Q     <- round(W)          to nearest
///     L, R  <- fit(W - Q)        in the diagonal of the metric H: LQER, and QERA-approx
///
/// The diagonal is the mean squares of the inputs; the paper uses their mean magnitudes.
///
/// Source: Zhang et al., LQER, arXiv:2402.02446.
public struct LQER: CompressionMethod {
  /// "lqer".
  public static let name = "lqer"
  /// What the method does, for help texts.
  public static let summary =
    "Q rounded to nearest, then repaired by one L R for the sizes of the inputs only"

  /// How Q is stored and rounded.
  public var rounding: QuantizationOptions
  /// How L R is stored and fitted.
  public var factors: LowRankOptions

  /// The method with the values that are given; the default is, as published, int4 on an asymmetric grid.
  public init(reading choices: inout MethodChoices) {
    rounding = QuantizationOptions(reading: &choices, isPlain: true)
    factors = LowRankOptions(reading: &choices)
  }

  /// The values of its options.
  public var choices: MethodChoices { MethodChoices(rounding, factors) }
  /// `rounding`.
  public var quantization: QuantizationOptions? { rounding }
  /// `factors`.
  public var lowRank: LowRankOptions? { factors }

  /// No rotation by default: rotated inputs would all have the same size.
  public var needs: MethodNeeds {
    var needs = MethodNeeds()
    needs.incoherence = .none
    return needs
  }

  /// The operations of one rounding and one L R.
  public func operations(_ shape: MatrixShape) -> Double { factors.repairOperations(shape) }

  /// Rounds W, and fits L R to the error.
  public func decompose(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, rank: Int,
    _ algebra: LinearAlgebra
  ) throws(LinearAlgebraError) -> Decomposition {
    let diagonal = try Metric(diagonalOf: metric, algebra)
    return try rounding.repaired(
      by: factors, problem, metric, repairMetric: diagonal, rank: rank, algebra)
  }
}
