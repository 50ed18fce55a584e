internal import DuetRuntime

/// Q + L R without alternation, the rank split between preserving W and repairing Q: SRR.
///
///     k     <- the split of `RankSplit`
///     Q     <- round(W - P)          with feedback; P the best approximation of W of rank k
///     L, R  <- fit(W - Q)            of rank r, in the metric H
///
/// The fit of rank r also replaces P. It is the best of rank r for this Q, so no worse than P plus a separate
/// repair of rank r - k.
///
/// Source: SRR, arXiv:2602.02001.
public struct SRR: CompressionMethod {
  /// "srr".
  public static let name = "srr"
  /// What the method does, for help texts.
  public static let summary =
    "Q + L R in one go, part of the rank preserving the weights before they are rounded"

  /// How Q is stored and rounded.
  public var rounding: QuantizationOptions
  /// How L R is stored and fitted.
  public var factors: LowRankOptions

  /// The method with the values that are given.
  public init(reading choices: inout MethodChoices) {
    rounding = QuantizationOptions(reading: &choices)
    factors = LowRankOptions(reading: &choices)
  }

  /// The values of its options, and the start of L R, which the report shows.
  public var choices: MethodChoices {
    var result = MethodChoices(rounding, factors)
    result.set(MethodOptions.initialization, to: .srr)
    return result
  }
  /// `rounding`.
  public var quantization: QuantizationOptions? { rounding }
  /// `factors`.
  public var lowRank: LowRankOptions? { factors }

  /// The operations of two roundings, three fits and their errors.
  public func operations(_ shape: MatrixShape) -> Double {
    let rounded = shape.rounding + shape.measuring
    if shape.rank == 0 { return rounded }
    return rounded + shape.rounding + 2 * shape.measuring + 3 * factors.fitOperations(shape)
  }

  /// The errors expected when a part of the rank preserves W and the rest repairs Q.
  public func expectedErrors(_ analysis: MatrixAnalysis) -> [Double] {
    analysis.expectedErrors(.lowRank)
  }

  /// Preserves a part of W, rounds the rest, and repairs the error.
  public func decompose(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, rank: Int,
    _ algebra: LinearAlgebra
  ) throws(LinearAlgebraError) -> Decomposition {
    if rank == 0 {
      return try GPTQ(rounding).decompose(problem, metric, rank: 0, algebra)
    }
    let first = try RankSplit(algebra).preserved(
      of: problem.weight, hessian: metric.hessian, rank: rank)
    let quantized = rounding.withFeedback(
      first.subtracted(from: problem.weight, algebra), metric, algebra)
    let fitted = try LowRankFitting(algebra, factors).repair(
      quantized, problem, metric, rank: rank)
    var result = Decomposition(
      quantized: quantized, factors: fitted.factors.copy(), error: fitted.error,
      runs: [.init(from: .srr, errors: [fitted.error])])
    result.preservedRank = first.rank
    return result
  }
}
