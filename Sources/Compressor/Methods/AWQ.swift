internal import DuetRuntime

/// Q alone, rounded to nearest, with scales searched for what their errors do to the outputs: the last step
/// of AWQ.
///
/// The weights have come with rescaled inputs, W diag(s), and the Hessian with them, diag(s)^-1 H diag(s)^-1,
/// (`ChannelScaling`). What is left is AWQ's search of a clipping range for each group: the one with the least
///
///     sum over columns c of a group of H_cc (w_c - q_c)^2,
///
/// the output error of a group whose inputs are taken to be uncorrelated. Where the plain squared error
/// gives less of tr((W - Q) H (W - Q)^T), that is taken.
///
/// Source: Lin et al., AWQ, arXiv:2306.00978.
public struct AWQ: CompressionMethod {
  /// "awq".
  public static let name = "awq"
  /// What it does.
  public static let summary = "Q alone, rounded to nearest with inputs rescaled"

  /// How Q is stored and rounded.
  public var rounding: QuantizationOptions

  /// The method with the values that are given; as published it has four bits, with a zero among the values.
  public init(reading choices: inout MethodChoices) {
    rounding = QuantizationOptions(reading: &choices, isPlain: true)
  }

  /// The values of its options.
  public var choices: MethodChoices { MethodChoices(rounding) }
  /// `rounding`.
  public var quantization: QuantizationOptions? { rounding }

  /// Inputs that are rescaled, and so neither rotated nor changed by corrections of earlier matrices.
  public var needs: MethodNeeds {
    var needs = MethodNeeds()
    needs.rescalesInputs = true
    needs.incoherence = .none
    needs.propagation = .original
    return needs
  }

  /// Both roundings, and the errors of all exponents of the scales.
  public func operations(_ shape: MatrixShape) -> Double {
    shape.rounding + shape.measuring + Double(ChannelScaling.exponentCount) * shape.measuring
  }

  /// Rounds to nearest, by the better of two searches for scales.
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
