internal import DuetRuntime

extension MatrixAnalysis {
  /// The analysis of a matrix.
  ///
  /// - Parameters:
  ///   - problem: W, rotated as the plan asks.
  ///   - metric: H of its inputs, damped and rotated.
  ///   - moments: The diagonal of H as measured, in the original basis.
  ///   - plan: How the matrix would be rounded.
  ///   - count: The number of eigenvalues to compute.
  ///   - algebra: The linear algebra to compute with.
  /// - Throws: `LinearAlgebraError`.
  package init(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, moments: [Double],
    _ plan: CompressionPlan, count: Int, _ algebra: LinearAlgebra
  ) throws(LinearAlgebraError) {
    self.init()
    name = problem.name
    outputSize = problem.weight.rowCount
    inputSize = metric.size
    let spectrum = try OutputSpectrum(
      of: problem.weight, hessian: metric.hessian, count: count, algebra)
    weightEnergies = spectrum.shares
    weightNorms = spectrum.normShares
    effectiveRank = OutputSpectrum.effectiveRank(
      of: problem.weight, hessian: metric.hessian, algebra)
    if let options = plan.method.quantization {
      var quantized = options.zeros(outputSize: outputSize, inputSize: inputSize)
      let error = FeedbackRounding(algebra, options.grid).round(
        problem.weight, feedback: metric.feedback, into: &quantized)
      quantizedError = problem.relative(error)
      var residual = problem.weight.copy()
      algebra.add(quantized.values, scale: -1, to: &residual)
      errorEnergies =
        try OutputSpectrum(of: residual, hessian: metric.hessian, count: count, algebra).shares
    }
    channelCount = plan.method.outlierChannelCount(
      rank: plan.rank(of: name, outputSize: outputSize, inputSize: inputSize),
      inputSize: inputSize)
    let selector = Metric.selector(
      of: Array(metric.ranking.prefix(channelCount)), size: inputSize, metric.rotation)
    let columns = algebra.product(problem.weight, selector, transposesRight: true)
    var others = problem.weight.copy()
    algebra.multiply(columns, selector, scale: -1, old: 1, into: &others)
    channelRemainder =
      problem.dampedSquare > 0
      ? max(0, metric.square(others, algebra) / problem.dampedSquare) : 0
    channelNormRemainder =
      spectrum.squaredNorm > 0 ? algebra.dot(others, others) / spectrum.squaredNorm : 0
    describe(moments, metric.ranking)
    deadInputCount = moments.count { $0 == 0 }
  }

  /// Fills in the figures that follow from the second moments of the inputs.
  private mutating func describe(_ moments: [Double], _ ranking: [Int]) {
    let median = moments[ranking[moments.count / 2]]
    outlierChannels = ranking.prefix { moments[$0] > Self.outlierFactor * median }
    let sum = moments.reduce(0, +)
    largestMoments = ranking.prefix(32).map { sum > 0 ? moments[$0] / sum : 0 }
  }
}
