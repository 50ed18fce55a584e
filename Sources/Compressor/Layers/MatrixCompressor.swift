internal import DuetRuntime

/// The compression of one weight matrix by a plan: decompose, store outlier columns, evaluate, pack.
package struct MatrixCompressor {
  private let algebra: LinearAlgebra
  private let plan: CompressionPlan

  /// A compressor by `plan`.
  package init(_ algebra: LinearAlgebra, _ plan: CompressionPlan) {
    self.algebra = algebra
    self.plan = plan
  }

  /// Compresses a weight matrix.
  ///
  /// - Parameters:
  ///   - problem: W.
  ///   - metric: The metric of the inputs of W.
  /// - Returns: The tensors to store, and the figures for the report.
  /// - Throws: `CompressionDataError`, also when the error is not finite or not below that of rounding to
  ///   nearest.
  package func compress(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric
  ) throws(CompressionDataError) -> CompressedLinear {
    let (m, n) = (problem.weight.rowCount, problem.weight.columnCount)
    let rank = plan.rank(of: problem.name, outputSize: m, inputSize: n)
    var record = MatrixRecord()
    record.name = problem.name
    record.outputSize = m
    record.inputSize = n
    record.rank = rank
    record.damping = metric.damping

    let baselines = baselineErrors(problem, metric)
    record.roundToNearestError = problem.relative(baselines.nearest)
    record.feedbackRoundingError = problem.relative(baselines.feedback)
    let decomposition: Decomposition
    do throws(LinearAlgebraError) {
      algebra.clock.begin(.decomposition)
      defer { algebra.clock.end() }
      decomposition = try plan.method.decompose(problem, metric, rank: rank, algebra)
    } catch {
      throw .noConvergence(tensor: problem.name)
    }
    algebra.clock.begin(.figures)
    defer { algebra.clock.end() }
    describe(decomposition, problem, &record)
    let residual = decomposition.residual(of: problem.weight, algebra)
    let columns = try fittedColumns(problem, metric, residual)
    evaluate(decomposition, columns, residual, problem, metric, &record)
    guard record.dampedRelativeError.isFinite, record.relativeError.isFinite,
      // A zero matrix has the error 1; it results when scales are below the range of half precision.
      record.dampedRelativeError < 1 || problem.dampedSquare == 0,
      record.dampedRelativeError <= record.roundToNearestError * baselines.tolerance
    else {
      throw .noImprovement(
        tensor: problem.name, relativeError: record.dampedRelativeError,
        roundToNearestError: record.roundToNearestError)
    }
    algebra.clock.begin(.packing)
    defer { algebra.clock.end() }
    do throws(PackedMatrixError) {
      let tensors = try Packing(problem.name, algebra).tensors(
        decomposition, columns, metric.columns)
      record.byteCount = tensors.reduce(0) { $0 + $1.byteCount }
      return CompressedLinear(tensors: tensors, record: record)
    } catch {
      throw .packing(tensor: problem.name, error)
    }
  }

  /// The errors of Q alone, in the metric that is minimised.
  private struct Baselines {
    let nearest: Double
    let feedback: Double
    /// The largest ratio of a result's error to that of rounding to nearest: with room for floating-point
    /// errors, and for those of an estimate.
    var tolerance = 1.001
  }

  /// The most tiles of rows that the errors are measured on where rows are rounded together.
  ///
  /// Rounding all rows twice more would double the time of rounding, which is a quarter of a compression of
  /// SmolLM2. The mean square of 128 rows of 64 independent Gaussian errors or more has a standard error of
  /// sqrt(2 / 8192) = 1.6 % or less. The tolerance, 10 % of the root, is 21 % of the mean square, for rows that
  /// differ from each other.
  private static let sampledTiles = 2

  /// The errors of Q alone, rounded to nearest and with feedback.
  ///
  /// For a trellis code they are those of a few tiles, relative to the weights of these rows.
  private func baselineErrors(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric
  ) -> Baselines {
    // Without Q the result is compared with a zero matrix.
    algebra.clock.begin(.rounding)
    defer { algebra.clock.end() }
    guard let options = plan.method.quantization else {
      return Baselines(nearest: problem.dampedSquare, feedback: problem.dampedSquare)
    }
    let rounding = FeedbackRounding(algebra, options.grid)
    let most = Self.sampledTiles * rounding.grid.rowStep
    if rounding.grid.rowStep == 1 || problem.weight.rowCount <= most {
      var quantized = options.nearest(to: problem, algebra)
      let nearest = algebra.squaredError(of: quantized, problem, metric)
      let feedback = rounding.round(
        problem.weight, feedback: metric.feedback, into: &quantized)
      return Baselines(nearest: nearest, feedback: feedback)
    }
    var rows = Matrix<Float>(rowCount: most, columnCount: problem.weight.columnCount)
    for row in 0..<most {
      let source = row * problem.weight.rowCount / most
      for column in 0..<rows.columnCount { rows[row, column] = problem.weight[source, column] }
    }
    var quantized = options.zeros(outputSize: most, inputSize: rows.columnCount)
    rounding.roundToNearest(rows, into: &quantized)
    var errors = rows.copy()
    algebra.add(quantized.values, scale: -1, to: &errors)
    let nearest = metric.square(errors, algebra)
    let feedback = rounding.round(rows, feedback: metric.feedback, into: &quantized)
    let square = metric.square(rows, algebra)
    let share = square > 0 ? problem.dampedSquare / square : 1
    return Baselines(nearest: nearest * share, feedback: feedback * share, tolerance: 1.1)
  }

  // MARK: - Outlier columns

  /// The best outlier columns for the residual of Q + L R, rounded to eight bits in the metric H_OO.
  private func fittedColumns(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric,
    _ residual: borrowing Matrix<Float>
  ) throws(CompressionDataError) -> QuantizedMatrix? {
    guard let channels = metric.columns else { return nil }
    // C = W_:O + (W - B) P with B = Q + L R.
    var target = problem.outlierWeights.copy()
    algebra.multiply(
      residual, channels.projection, transposesRight: true, old: 1, into: &target)
    var result = QuantizedMatrix(
      CompressedFormat.columnsLayout(outputSize: target.rowCount, count: target.columnCount))
    do throws(LinearAlgebraError) {
      var gram = channels.gram.copy()
      let feedback = try FeedbackFactor(&gram, algebra)
      FeedbackRounding(algebra, IntegerGrid(.int8)).round(
        target, feedback: feedback, into: &result)
    } catch {
      throw .notPositiveDefinite(tensor: problem.name, damping: channels.damping)
    }
    return result
  }

  // MARK: - Figures

  /// Fills in how the decomposition was found.
  private func describe(
    _ decomposition: borrowing Decomposition, _ problem: borrowing WeightProblem,
    _ record: inout MatrixRecord
  ) {
    let name = plan.method.name
    record.method = decomposition.variant.map { "\(name) \($0)" } ?? name
    record.traces = []
    for run in decomposition.runs {
      record.traces.append(
        MatrixRecord.Trace(
          initialization: run.start, errors: run.errors.map { problem.relative($0) }))
    }
    record.outlierChannels = decomposition.outlierChannels
    record.preservedRank = decomposition.preservedRank
  }

  /// W_:O - C.
  private func columnError(
    _ columns: borrowing QuantizedMatrix?, _ problem: borrowing WeightProblem
  ) -> Matrix<Float> {
    var result = problem.outlierWeights.copy()
    switch columns {
    case .none: break
    case .some(let columns): algebra.add(columns.values, scale: -1, to: &result)
    }
    return result
  }

  /// Fills in the errors and sizes of what is stored.
  private func evaluate(
    _ decomposition: borrowing Decomposition, _ columns: borrowing QuantizedMatrix?,
    _ residual: borrowing Matrix<Float>, _ problem: borrowing WeightProblem,
    _ metric: borrowing Metric, _ record: inout MatrixRecord
  ) {
    let energy = algebra.dot(residual, residual)
    var damped = metric.square(residual, algebra)
    var measured = damped - metric.damping * energy
    if let channels = metric.columns {
      // The columns differ from the best ones by their rounding, whose error is measured in the metric H_OO.
      let own = columnError(columns, problem)
      var difference = own.copy()
      algebra.multiply(
        residual, channels.projection, transposesRight: true, old: 1, into: &difference)
      damped = measured + algebra.square(difference, in: algebra.narrowed(channels.gram))
      // |W - B - C E_O^T|^2, which the damping is multiplied by.
      let across = algebra.product(residual, channels.selector, transposesRight: true)
      let total = energy + 2 * algebra.dot(across, own) + algebra.dot(own, own)
      measured = damped - channels.damping * total
      record.outlierChannels = channels.channels
    }
    record.dampedRelativeError = problem.relative(damped)
    record.relativeError =
      problem.measuredSquare > 0 ? (max(measured, 0) / problem.measuredSquare).squareRoot() : 0
    if decomposition.factors.rank > 0 {
      let product = decomposition.factors.product.copy()
      let weighted = algebra.product(product.right, metric.hessian)
      let gram = algebra.product(weighted, product.right, transposesRight: true)
      let image = algebra.product(gram, product.leftTransposed)
      record.lowRankRole = problem.relative(algebra.dot(image, product.leftTransposed))
    }
    switch decomposition.quantized {
    case .none: break
    case .some(let quantized): evaluate(quantized, problem, metric, &record)
    }
  }

  /// Fills in the role of Q, and its scales.
  private func evaluate(
    _ quantized: borrowing QuantizedMatrix, _ problem: borrowing WeightProblem,
    _ metric: borrowing Metric, _ record: inout MatrixRecord
  ) {
    record.quantizedRole = problem.relative(metric.square(quantized.values, algebra))
    let layout = quantized.layout
    var (sum, largest) = (0.0, Float(0))
    for row in 0..<layout.outputSize {
      for group in 0..<layout.groupCount {
        let scale = quantized.scale(row: row, group: group)
        sum += Double(scale)
        largest = max(largest, scale)
      }
    }
    record.meanScale = sum / Double(layout.outputSize * layout.groupCount)
    record.largestScale = Double(largest)
  }
}
