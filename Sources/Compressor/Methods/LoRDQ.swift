internal import DuetRuntime

/// L R alone, found in blocks of components, each block rounded before the next is found: LoRDQ.
///
///     A <- W
///     for every block of b components:
///         L_b, R_b <- fit(A)          in the metric H: the closed form, rounded; L is solved anew for the
///                                     rounded R and R for the rounded L, `innerIterations` times
///         A <- A - L_b R_b            so the next block makes up for truncation and rounding
///
/// There is no Q. Exact factors of rank r leave the error tr(E H E^T) = sum of the eigenvalues of W H W^T
/// after the first r.
///
/// Source: the abstract and reviews of "LoRDQ" (OpenReview S7jGYTATSw); its algorithm was never published, so
/// the steps inside a block are ours, those of LPLR in arXiv:2405.18886.
public struct LoRDQ: CompressionMethod {
  /// "lordq".
  public static let name = "lordq"
  /// What the method does, for help texts.
  public static let summary =
    "L R alone, in blocks, each of which makes up for the rounding of those before"

  /// How L R is stored and fitted.
  ///
  /// `targetBits` is 2.5 unless a rank is given as an option; a program that sets `rank` sets it to nil.
  public var factors: LowRankOptions

  /// The method with the values that are given; without a rank, ranks are chosen for 2.5 bits per weight.
  public init(reading choices: inout MethodChoices) {
    factors = LowRankOptions(reading: &choices, standardTargetBits: 2.5, findsBlocks: true)
  }

  /// The values of its options.
  public var choices: MethodChoices { MethodChoices(nil, factors) }
  /// `factors`.
  public var lowRank: LowRankOptions? { factors }

  /// Refuses rank 0, which leaves nothing, and factors of 16 bits.
  public func check(given: MethodChoices) throws(CompressionPlanError) {
    if factors.rank == 0 {
      throw .conflict("--rank 0 and --method lordq, which is L R alone, contradict each other")
    }
    if factors.format == .f16 {
      throw .conflict("--lr-format f16 has no meaning with --method lordq, which stores few bits")
    }
    try factors.check(given: given)
  }

  /// The operations of one L R of the whole rank; its blocks are not counted one by one.
  public func operations(_ shape: MatrixShape) -> Double { factors.repairOperations(shape) }

  /// The square roots of the tails of the spectrum of W H W^T.
  public func expectedErrors(_ analysis: MatrixAnalysis) -> [Double] {
    analysis.expectedErrors(.alone)
  }

  /// Fits block after block.
  public func decompose(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, rank: Int,
    _ algebra: LinearAlgebra
  ) throws(LinearAlgebraError) -> Decomposition {
    let fitting = LowRankFitting(algebra, factors)
    let block = factors.blockSize?.columnCount ?? rank
    var residual = problem.weight.copy()
    var error = metric.square(residual, algebra)
    var found = problem.noFactors
    var trace: [Double] = []
    for start in stride(from: 0, to: rank, by: block) {
      let fitted = try fitting.fit(
        residual, square: error, metric, rank: min(block, rank - start))
      found = found.appending(fitted.factors)
      residual = fitted.factors.product.subtracted(from: residual, algebra)
      // Computed anew: the fit gets the error as a difference of large numbers.
      error = metric.square(residual, algebra)
      trace.append(error)
    }
    return Decomposition(
      quantized: nil, factors: found, error: error, runs: [.init(from: .zero, errors: trace)])
  }
}
