internal import DuetRuntime

/// The alternation between a quantised and a low-rank part: W approximated by Q + L R.
///
///     repeat outerIterations times:
///         Q    <- round(W - L R)      with feedback, in the metric H or its projection
///         L, R <- fit(W - Q)          in the metric H
///
/// The error may rise from one half step to the next, because each rounding begins anew. So it is computed
/// after each half step, and the best pair that can be stored is kept. At the end Q is rounded once more for
/// the best L R, because feedback then compensates part of their rounding. Rounds of coordinate descent
/// follow, which never increase the error.
///
/// Source: CALDERA, arXiv:2405.18886, algorithm 1; the start `odlri` is from arXiv:2506.02077.
package struct Alternation {
  private let algebra: LinearAlgebra
  private let quantization: QuantizationOptions
  private let options: AlternationOptions
  private let rounding: FeedbackRounding
  private let fitting: LowRankFitting

  /// An alternation.
  ///
  /// - Parameters:
  ///   - algebra: The linear algebra to compute with.
  ///   - quantization: How Q is stored and rounded.
  ///   - lowRank: How L R is stored and fitted.
  ///   - options: How Q and L R are found in turn.
  package init(
    _ algebra: LinearAlgebra, _ quantization: QuantizationOptions, _ lowRank: LowRankOptions,
    _ options: AlternationOptions
  ) {
    self.algebra = algebra
    self.quantization = quantization
    self.options = options
    rounding = FeedbackRounding(algebra, quantization.grid)
    fitting = LowRankFitting(algebra, lowRank)
  }

  /// The passes of coordinate descent in a round of refinement.
  static let sweeps = 2
  /// A round of refinement that gains less than this share of the error is the last.
  private static let smallestGain = 1e-3

  /// Decomposes a matrix.
  ///
  /// - Parameters:
  ///   - problem: W.
  ///   - metric: H.
  ///   - rank: r; with 0 the result is Q alone, by rounding with feedback and coordinate descent.
  ///   - start: The start of L R, not `auto`.
  ///   - channelCount: The outlier channels of ODLRI's start.
  /// - Returns: The best pair that was found.
  /// - Throws: `LinearAlgebraError` when numbers are not finite.
  /// - Complexity: O(outerIterations * (m n^2 + innerIterations * r (m n + n^2))).
  package func decompose(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, rank: Int,
    from start: LowRankInitialization, channelCount: Int
  ) throws(LinearAlgebraError) -> Decomposition {
    let (m, n) = (problem.weight.rowCount, problem.weight.columnCount)
    var state = State(
      quantized: quantization.zeros(outputSize: m, inputSize: n),
      factors: StoredFactors(outputSize: m, inputSize: n))
    if rank == 0 {
      algebra.clock.begin(.rounding)
      state.error = rounding.round(
        problem.weight, feedback: metric.feedback, into: &state.quantized)
      algebra.clock.end()
      state.record()
    } else if options.updateOrder == .lowRankFirst, ![.svd, .odlri, .srr].contains(start) {
      try alternateFromLowRank(problem, metric, rank, &state)
    } else {
      try alternate(problem, metric, rank, start, channelCount, &state)
    }
    if rank > 0 { roundOnceMore(problem, metric, &state) }
    try refine(problem, metric, rank, &state)
    guard state.bestError.isFinite else { throw .noConvergence(info: 0) }
    return Decomposition(
      quantized: state.best.copy(), factors: state.bestFactors.copy(), error: state.bestError,
      runs: [.init(from: start, errors: state.trace)])
  }

  /// The current Q and L R, and the best pair so far.
  private struct State: ~Copyable {
    var quantized: QuantizedMatrix
    var factors: StoredFactors
    var error = Double.infinity
    var best: QuantizedMatrix
    var bestFactors: StoredFactors
    var bestError = Double.infinity
    var trace: [Double] = []

    init(quantized: consuming QuantizedMatrix, factors: consuming StoredFactors) {
      best = quantized.copy()
      bestFactors = factors.copy()
      self.quantized = quantized
      self.factors = factors
    }

    /// Keeps the current pair when it is the best; with an error of NaN it never is.
    mutating func record() {
      trace.append(error)
      guard error < bestError else { return }
      bestError = error
      best = quantized.copy()
      bestFactors = factors.copy()
    }
  }

  /// Alternates with Q first, starting from factors of full precision.
  private func alternate(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, _ rank: Int,
    _ initialization: LowRankInitialization, _ channelCount: Int, _ state: inout State
  ) throws(LinearAlgebraError) {
    var start = try algebra.clock.measure(.lowRank) { () throws(LinearAlgebraError) in
      try LowRankStart(algebra).factors(
        initialization, of: problem, metric, rank: rank, channelCount: channelCount)
    }
    for iteration in 0..<max(1, options.outerIterations) {
      let isLast = iteration == options.outerIterations - 1
      try roundQuantized(problem, metric, start, projects: !isLast, &state)
      // The first factors have full precision: that pair cannot be stored.
      if iteration > 0 { state.record() }
      try fitFactors(problem, metric, rank, near: start, &state)
      state.record()
      start = state.factors.product.copy()
    }
  }

  /// Alternates with L R first, as the authors of CALDERA do.
  private func alternateFromLowRank(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, _ rank: Int,
    _ state: inout State
  ) throws(LinearAlgebraError) {
    let nothing = LowRankProduct(
      rank: 0, outputSize: problem.weight.rowCount, inputSize: metric.size)
    state.error = metric.square(problem.weight, algebra)
    for iteration in 0..<max(1, options.outerIterations) {
      let isLast = iteration == options.outerIterations - 1
      if iteration == 0 {
        try fitFactors(problem, metric, rank, near: nothing, &state)
      } else {
        let previous = state.factors.product.copy()
        try fitFactors(problem, metric, rank, near: previous, &state)
        state.record()
      }
      let factors = state.factors.product.copy()
      try roundQuantized(problem, metric, factors, projects: !isLast, &state)
      state.record()
    }
  }

  /// Computes Q <- round(W - L R), and the error with these L and R.
  private func roundQuantized(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric,
    _ factors: borrowing LowRankProduct, projects: Bool, _ state: inout State
  ) throws(LinearAlgebraError) {
    algebra.clock.begin(.rounding)
    defer { algebra.clock.end() }
    let target = factors.subtracted(from: problem.weight, algebra)
    if options.projectsMetric, projects, factors.rank > 0,
      algebra.dot(factors.right, factors.right) > 0
    {
      var projected = try ProjectedMetric(algebra).hessian(metric.hessian, without: factors.right)
      let feedback = try FeedbackFactor(&projected, algebra)
      rounding.round(target, feedback: feedback, into: &state.quantized)
      // The rounding gives the error in the projected metric only.
      var residual = target.copy()
      algebra.add(state.quantized.values, scale: -1, to: &residual)
      state.error = metric.square(residual, algebra)
    } else {
      state.error = rounding.round(target, feedback: metric.feedback, into: &state.quantized)
    }
  }

  /// Computes L, R <- fit(W - Q), given the error of Q with the previous factors.
  private func fitFactors(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, _ rank: Int,
    near previous: borrowing LowRankProduct, startingThere: Bool = false, _ state: inout State
  ) throws(LinearAlgebraError) {
    algebra.clock.begin(.lowRank)
    defer { algebra.clock.end() }
    var target = problem.weight.copy()
    algebra.add(state.quantized.values, scale: -1, to: &target)
    // tr(A H A^T) of A = W - Q from the error of A - L R, without a product of full size.
    var square = state.error
    if previous.rank > 0 {
      let weighted = algebra.product(previous.right, metric.hessian)
      square += fitting.gain(of: previous, weighted, target)
    }
    let fitted = try fitting.fit(
      target, square: square, metric, rank: rank, start: startingThere ? previous.copy() : nil,
      near: previous.rank > 0 ? previous.copy() : nil)
    state.error = fitted.error
    state.factors = fitted.factors.copy()
  }

  /// Rounds Q once more for the best factors, in the metric without projection.
  private func roundOnceMore(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, _ state: inout State
  ) {
    algebra.clock.begin(.rounding)
    defer { algebra.clock.end() }
    state.factors = state.bestFactors.copy()
    let target = state.factors.product.subtracted(from: problem.weight, algebra)
    state.error = rounding.round(target, feedback: metric.feedback, into: &state.quantized)
    state.record()
  }

  /// Improves Q by coordinate descent and fits the factors again, each starting from the best pair so far.
  private func refine(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, _ rank: Int,
    _ state: inout State
  ) throws(LinearAlgebraError) {
    algebra.clock.begin(.refinement)
    defer { algebra.clock.end() }
    for _ in 0..<options.refinementRounds {
      let before = state.bestError
      state.quantized = state.best.copy()
      state.factors = state.bestFactors.copy()
      let target = state.factors.product.subtracted(from: problem.weight, algebra)
      state.error =
        before
        - rounding.polish(
          target, hessian: metric.hessian, sweeps: Self.sweeps, &state.quantized)
      state.record()
      if rank > 0 {
        state.quantized = state.best.copy()
        state.error = state.bestError
        let previous = state.bestFactors.product.copy()
        try fitFactors(
          problem, metric, rank, near: previous, startingThere: fitting.storage.format != .f16,
          &state)
        state.record()
      }
      if state.bestError > before * (1 - Self.smallestGain) { return }
    }
  }
}
