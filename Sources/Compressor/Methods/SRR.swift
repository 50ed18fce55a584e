internal import DuetRuntime

/// Q + L R in one go, the rank split between what is preserved and what is repaired: SRR.
///
///     k        as `RankSplit` has it
///     Q     <- round(W - P)          with feedback; P the best approximation of W of rank k
///     L, R  <- fit(W - Q)            of rank r, in the metric H
///
/// The fit of all r components holds P too: it is the best of rank r beside this Q, so no worse than P
/// and a repair of rank r - k apart.
///
/// Source: SRR, arXiv:2602.02001.
public struct SRR: CompressionMethod {
  /// "srr".
  public static let name = "srr"
  /// What it does.
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

  /// The values of its options, and what L R starts from.
  public var choices: MethodChoices {
    var result = MethodChoices(rounding, factors)
    result.set(MethodOptions.initialization, to: .srr)
    return result
  }
  /// `rounding`.
  public var quantization: QuantizationOptions? { rounding }
  /// `factors`.
  public var lowRank: LowRankOptions? { factors }

  /// Two roundings, three fits and their errors.
  public func operations(_ shape: MatrixShape) -> Double {
    let rounded = shape.rounding + shape.measuring
    if shape.rank == 0 { return rounded }
    return rounded + shape.rounding + 2 * shape.measuring + 3 * factors.fitOperations(shape)
  }

  /// What is left when a part of the rank preserves W and the rest repairs Q.
  public func expectedErrors(_ analysis: MatrixAnalysis) -> [Double] {
    analysis.expectedErrors(.lowRank)
  }

  /// Preserves, rounds and repairs.
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
