internal import DuetRuntime

/// Q alone, rounded to nearest with scales of least estimated output error: the last step of AWQ.
///
/// The inputs were rescaled before (`ChannelScaling`): the weights are W diag(s) and the Hessian is
/// diag(s)^-1 H diag(s)^-1. This type does AWQ's search of a clipping range for each group, the range with
/// the least
///
///     sum over columns c of a group of H_cc (w_c - q_c)^2,
///
/// which is the output error of the group if its inputs are uncorrelated. A second Q is rounded without the
/// factors H_cc, and the Q with the smaller tr((W - Q) H (W - Q)^T) is kept.
///
/// Source: Lin et al., AWQ, arXiv:2306.00978.
public struct AWQ: CompressionMethod {
  /// "awq".
  public static let name = "awq"
  /// What the method does, for help texts.
  public static let summary = "Q alone, rounded to nearest with inputs rescaled"

  /// How Q is stored and rounded.
  public var rounding: QuantizationOptions

  /// The method with the values that are given; the default is, as published, int4 on an asymmetric grid.
  public init(reading choices: inout MethodChoices) {
    rounding = QuantizationOptions(reading: &choices, isPlain: true)
  }

  /// The values of its options.
  public var choices: MethodChoices { MethodChoices(rounding) }
  /// `rounding`.
  public var quantization: QuantizationOptions? { rounding }

  /// Rescaled inputs, which exclude rotations and corrections, and every weight as it is.
  public var needs: MethodNeeds {
    var needs = MethodNeeds()
    needs.keepsUnseenWeights = true
    needs.rescalesInputs = true
    needs.incoherence = .none
    needs.propagation = .original
    return needs
  }

  /// The operations of the roundings, and of the errors for every exponent of the rescaling.
  public func operations(_ shape: MatrixShape) -> Double {
    shape.rounding + shape.measuring + Double(ChannelScaling.exponentCount) * 2 * shape.measuring
  }

  /// Rounds to nearest with two searches for scales, and keeps the better Q.
  public func decompose(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, rank: Int,
    _ algebra: LinearAlgebra
  ) throws(LinearAlgebraError) -> Decomposition {
    let (m, n) = (problem.weight.rowCount, problem.weight.columnCount)
    let plain = rounding.nearest(to: problem, algebra)
    let plainError = algebra.squaredError(of: plain, problem, metric)
    var weighted = rounding.zeros(outputSize: m, inputSize: n)
    FeedbackRounding(algebra, rounding.grid).roundToNearest(
      problem.weight, importances: (0..<n).map { metric.hessian[$0, $0] }, into: &weighted)
    let weightedError = algebra.squaredError(of: weighted, problem, metric)
    let isPlain = plainError < weightedError
    return Decomposition(
      quantized: isPlain ? plain : weighted, factors: problem.noFactors,
      error: min(plainError, weightedError),
      runs: [.init(from: .zero, errors: [plainError, weightedError])])
  }
}
