internal import DuetRuntime

/// Q alone, rounded with error feedback: GPTQ.
///
/// Minimises tr((W - Q) H (W - Q)^T) column by column. In a rotated basis and with the lattice format e8p it
/// is QuIP# without fine-tuning.
///
/// Source: Frantar et al., arXiv:2210.17323; Chee et al., arXiv:2307.13304.
public struct GPTQ: CompressionMethod {
  /// "gptq".
  public static let name = "gptq"
  /// What the method does, for help texts.
  public static let summary = "Q alone, rounded with error feedback"

  /// How Q is stored and rounded.
  public var rounding: QuantizationOptions
  /// Whether columns are rounded in the order of falling second moments of their inputs.
  public var ordersByActivation: Bool
  /// The rounds of coordinate descent after the rounding; the published method has none.
  public var refinementRounds: Int

  /// The method with the values that are given.
  public init(reading choices: inout MethodChoices) {
    self.init(
      QuantizationOptions(reading: &choices),
      ordersByActivation: choices.read(MethodOptions.ordersByActivation),
      refinementRounds: choices.read(MethodOptions.refinementRounds))
  }

  /// The method with these choices.
  public init(
    _ rounding: QuantizationOptions, ordersByActivation: Bool = false, refinementRounds: Int = 0
  ) {
    self.rounding = rounding
    self.ordersByActivation = ordersByActivation
    self.refinementRounds = refinementRounds
  }

  /// The values of its options.
  public var choices: MethodChoices {
    var result = MethodChoices(rounding)
    result.set(MethodOptions.ordersByActivation, to: ordersByActivation)
    result.set(MethodOptions.refinementRounds, to: refinementRounds)
    return result
  }
  /// `rounding`.
  public var quantization: QuantizationOptions? { rounding }

  /// Refuses an order of columns with a format that rounds eight columns together.
  public func check(given: MethodChoices) throws(CompressionPlanError) {
    try rounding.check()
    if ordersByActivation, rounding.format.coding == .lattice {
      throw .conflict(
        "--act-order has no meaning with --format e8p, which rounds eight columns together")
    }
  }

  /// Rounds with feedback, then runs the rounds of coordinate descent.
  public func decompose(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, rank: Int,
    _ algebra: LinearAlgebra
  ) throws(LinearAlgebraError) -> Decomposition {
    if ordersByActivation { return try orderedByActivation(problem, metric, algebra) }
    var options = AlternationOptions()
    options.refinementRounds = refinementRounds
    return try Alternation(algebra, rounding, LowRankOptions(), options).decompose(
      problem, metric, rank: 0, from: .zero, channelCount: 0)
  }

  /// Rounds the columns with the largest inputs first, while the other columns can still compensate their
  /// errors.
  ///
  /// Groups are formed in the original order of the columns ("static groups"), so the order is not stored.
  private func orderedByActivation(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, _ algebra: LinearAlgebra
  ) throws(LinearAlgebraError) -> Decomposition {
    let n = metric.size
    let order = (0..<n).sorted {
      let (left, right) = (metric.hessian[$0, $0], metric.hessian[$1, $1])
      return left == right ? $0 < $1 : left > right
    }
    var ordered = Matrix<Double>(rowCount: n, columnCount: n)
    let (source, target) = unsafe (metric.hessian.pointer, ordered.pointer)
    algebra.pool.run(n) { row, _ in
      for column in 0..<n {
        let pair = unsafe (
          source[order[row] * n + order[column]], source[order[column] * n + order[row]]
        )
        unsafe target[row * n + column] = (Double(pair.0) + Double(pair.1)) / 2
      }
    }
    let feedback = try FeedbackFactor(&ordered, algebra)
    var quantized = rounding.zeros(outputSize: problem.weight.rowCount, inputSize: n)
    let rounding = FeedbackRounding(algebra, rounding.grid)
    var error = rounding.round(
      problem.weight, feedback: feedback, order: order, into: &quantized)
    var trace = [error]
    if refinementRounds > 0 {
      error -= rounding.polish(
        problem.weight, hessian: metric.hessian,
        sweeps: refinementRounds * Alternation.sweeps, &quantized)
      trace.append(error)
    }
    return Decomposition(
      quantized: quantized, factors: problem.noFactors, error: error,
      runs: [.init(from: .zero, errors: trace)])
  }
}
