internal import DuetRuntime

/// A method that fits Q and L R in turn: what CALDERA and ODLRI have in common.
///
/// Minimises tr((W - Q - L R) H (W - Q - L R)^T).
public protocol AlternatingMethod: CompressionMethod {
  /// How Q is stored and rounded.
  var rounding: QuantizationOptions { get set }
  /// How L R is stored and fitted.
  var factors: LowRankOptions { get set }
  /// How Q and L R are found in turn.
  var alternation: AlternationOptions { get set }
}

extension AlternatingMethod {
  /// `rounding`.
  public var quantization: QuantizationOptions? { rounding }
  /// `factors`.
  public var lowRank: LowRankOptions? { factors }

  /// The values of its options.
  public var choices: MethodChoices {
    var result = MethodChoices(rounding, factors)
    alternation.write(to: &result)
    return result
  }

  /// Refuses options of Q, L R and outlier channels that contradict each other.
  func checkParts(given: MethodChoices) throws(CompressionPlanError) {
    try rounding.check()
    let storesOutliers = alternation.outlierStorage == .int8
    if storesOutliers, factors.targetBits != nil {
      throw .conflict(
        "--target-bits and --outlier-storage int8, whose columns are paid for with ranks, contradict "
          + "each other")
    }
    try factors.check(given: given)
    if storesOutliers, alternation.initialization == .odlri {
      throw .conflict(
        "--initialization odlri has no meaning with --outlier-storage int8: L R would start from "
          + "the columns that are stored apart")
    }
  }

  /// The number that is given, or a sixteenth of the rank.
  ///
  /// The ODLRI paper uses 16 for rank 256.
  public func outlierChannelCount(rank: Int, inputSize: Int) -> Int {
    min(alternation.outlierChannelCount ?? max(1, rank / 16), inputSize - 1)
  }

  /// The number of outlier channels where they are stored as columns, else 0.
  public func columnCount(inputSize: Int) -> Int {
    alternation.outlierStorage == .int8
      ? outlierChannelCount(rank: factors.rank, inputSize: inputSize) : 0
  }

  /// The operations of all starts.
  ///
  /// A round is one rounding and one fit, which both give their error. A refinement is two sweeps of
  /// 2 m n^2 each, and inner rounds again.
  public func operations(_ shape: MatrixShape) -> Double {
    let rounded = shape.rounding + shape.measuring
    if shape.rank == 0 { return rounded }
    let rounds =
      Double(alternation.outerIterations)
      * (shape.rounding + (alternation.projectsMetric ? shape.measuring : 0)
        + factors.fitOperations(shape))
    let refinement =
      Double(alternation.refinementRounds)
      * (4 * shape.measuring + factors.innerOperations(shape))
    let starts = Double(alternation.initializations(rank: shape.rank).count)
    return rounded + starts * (rounds + refinement)
  }

  /// The bytes of one more Q with several starts, of the metric I, and of the projected metric.
  public func workingByteCount(_ shape: MatrixShape) -> Int {
    if shape.rank == 0 { return 0 }
    let (m, n) = (shape.outputSize, shape.inputSize)
    return (alternation.initialization == .auto ? 4 * m * n : 0)
      + ([.svd, .auto].contains(alternation.initialization) ? 4 * n * n : 0)
      + (alternation.projectsMetric ? 16 * n * n : 0)
  }

  /// Alternates from every start, and keeps the best.
  public func decompose(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, rank: Int,
    _ algebra: LinearAlgebra
  ) throws(LinearAlgebraError) -> Decomposition {
    let engine = Alternation(algebra, rounding, factors, alternation)
    let channelCount = outlierChannelCount(rank: rank, inputSize: metric.size)
    var best: Decomposition?
    var bestError = Double.infinity
    var runs: [Decomposition.Run] = []
    for start in alternation.initializations(rank: rank) {
      var candidate = try engine.decompose(
        problem, metric, rank: rank, from: start, channelCount: channelCount)
      runs += candidate.runs
      // The first result is kept even when its error is not finite; that is checked later.
      if runs.count == 1 || candidate.error < bestError {
        bestError = candidate.error
        if rank > 0 { candidate.variant = "\(start)" }
        if rank > 0, start == .odlri {
          candidate.outlierChannels = metric.ranking.prefix(channelCount).sorted()
        }
        best = consume candidate
      }
    }
    guard var result = best.take() else { throw .noConvergence(info: 0) }
    result.runs = runs
    return result
  }
}
