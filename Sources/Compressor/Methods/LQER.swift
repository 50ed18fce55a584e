internal import DuetRuntime

/// Q rounded to nearest, then repaired by one L R that knows the sizes of the inputs only: LQER.
///
///     Q     <- round(W)          to nearest
///     L, R  <- fit(W - Q)        in the diagonal of the metric H: LQER, and QERA-approx
///
/// The diagonal is that of E[x x^T]; LQER itself takes means of magnitudes.
///
/// Source: Zhang et al., LQER, arXiv:2402.02446.
public struct LQER: CompressionMethod {
  /// "lqer".
  public static let name = "lqer"
  /// What it does.
  public static let summary =
    "Q rounded to nearest, then repaired by one L R for the sizes of the inputs only"

  /// How Q is stored and rounded.
  public var rounding: QuantizationOptions
  /// How L R is stored and fitted.
  public var factors: LowRankOptions

  /// The method with the values that are given; as published it has four bits, with a zero among the values.
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

  /// Weights as they are: rotated inputs would all have one size.
  public var needs: MethodNeeds {
    var needs = MethodNeeds()
    needs.incoherence = .none
    return needs
  }

  /// One rounding and one L R.
  public func operations(_ shape: MatrixShape) -> Double { factors.repairOperations(shape) }

  /// Rounds and repairs.
  public func decompose(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, rank: Int,
    _ algebra: LinearAlgebra
  ) throws(LinearAlgebraError) -> Decomposition {
    let diagonal = try Metric(diagonalOf: metric, algebra)
    return try rounding.repaired(
      by: factors, problem, metric, repairMetric: diagonal, rank: rank, algebra)
  }
}
