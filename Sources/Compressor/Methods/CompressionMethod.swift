public import DuetRuntime

/// A way to decompose one weight matrix, with its options: from W and H to Q, L R or both.
///
/// A method is a value. It owns its options with their defaults, and says what it needs from the rest of a
/// compression, what it will cost and which error can be expected. Calibration, rotation, packing, the
/// journal and the reports do not depend on any particular method.
///
/// To add a method to this package, write a type in this folder and add it to `MethodList.all`. A program
/// that uses the library can instead set `CompressionPlan.method` to a value of its own type.
///
/// ```swift
/// struct Nearest: CompressionMethod {
///   static let name = "nearest"
///   static let summary = "Q alone, each weight rounded to the nearest value"
///   var rounding: QuantizationOptions
///
///   init(reading choices: inout MethodChoices) { rounding = QuantizationOptions(reading: &choices) }
///   var quantization: QuantizationOptions? { rounding }
///   var choices: MethodChoices { MethodChoices(rounding) }
///
///   func decompose(
///     _ problem: borrowing WeightProblem, _ metric: borrowing Metric, rank: Int,
///     _ algebra: LinearAlgebra
///   ) throws(LinearAlgebraError) -> Decomposition {
///     let quantized = rounding.nearest(to: problem, algebra)
///     let error = algebra.squaredError(of: quantized, problem, metric)
///     return Decomposition(quantized: quantized, factors: problem.noFactors, error: error)
///   }
/// }
/// ```
public protocol CompressionMethod: Sendable {
  /// The name: a word for the command line, `config.json` and reports.
  static var name: String { get }
  /// What the method does, for help texts: a clause without a full stop.
  static var summary: String { get }

  /// The method with the values that are given for its options, and its defaults for all others.
  ///
  /// - Parameter choices: The given values. The options that are read here are the options of the method; any
  ///   other given option is refused.
  init(reading choices: inout MethodChoices)

  /// The values of all options that the method reads; `init(reading:)` makes an equal method from them.
  var choices: MethodChoices { get }

  /// How Q is stored and rounded, or nil when there is no Q.
  var quantization: QuantizationOptions? { get }
  /// How L R is stored and fitted, or nil when there is no L R.
  var lowRank: LowRankOptions? { get }
  /// What the method needs from the rest of a compression.
  var needs: MethodNeeds { get }

  /// Refuses options that contradict each other.
  ///
  /// - Parameter given: The values that the user gave; empty for a method that a program has made.
  /// - Throws: `CompressionPlanError.conflict`.
  func check(given: MethodChoices) throws(CompressionPlanError)

  /// The number of outlier channels of a matrix: those that ODLRI's start copies, or that are stored as
  /// columns.
  func outlierChannelCount(rank: Int, inputSize: Int) -> Int

  /// The number of outlier channels that are stored as columns, for a matrix with `inputSize` inputs.
  func columnCount(inputSize: Int) -> Int

  /// The multiplications and additions to decompose a matrix.
  ///
  /// Factorising its metric and measuring the error of rounding to nearest are not included.
  func operations(_ shape: MatrixShape) -> Double

  /// The bytes of memory to decompose a matrix, beyond what every method needs.
  func workingByteCount(_ shape: MatrixShape) -> Int

  /// The expected relative errors of the method with ranks 0, 1, ...
  ///
  /// - Parameter analysis: The analysis of the matrix.
  /// - Returns: sqrt(tr(E H E^T) / tr(W H W^T)) for each rank from 0 on.
  func expectedErrors(_ analysis: MatrixAnalysis) -> [Double]

  /// Decomposes a matrix.
  ///
  /// - Parameters:
  ///   - problem: W, (m, n), rotated as the plan asks.
  ///   - metric: H of its inputs, (n, n).
  ///   - rank: The rank of L R; 0 for none.
  ///   - algebra: The linear algebra to compute with.
  /// - Returns: The parts to store, with their error in the metric and the figures for the report.
  /// - Throws: `LinearAlgebraError`.
  func decompose(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, rank: Int,
    _ algebra: LinearAlgebra
  ) throws(LinearAlgebraError) -> Decomposition
}

/// What a method needs from the rest of a compression.
public struct MethodNeeds: Sendable, Hashable {
  /// Whether inputs are rescaled before, by the factors with which rounding to nearest has the least error.
  public var rescalesInputs = false
  /// The sides that are rotated by default.
  public var incoherence = IncoherenceSides.both
  /// The weights that the inputs of later layers are computed with by default.
  public var propagation = Propagation.corrected

  /// Whether weights of inputs that are always zero are treated like all others; if not, they become zero
  /// first.
  public var keepsUnseenWeights = false

  /// The needs of most methods: no rescaling, both sides rotated, corrected inputs.
  public init() {}
}

/// The shape of a matrix and of its L R, for forecasts.
public struct MatrixShape: Sendable, Hashable {
  /// m, the number of rows.
  public var outputSize: Int
  /// n, the number of columns.
  public var inputSize: Int
  /// r, the rank of L R; 0 for none.
  public var rank: Int
  /// The operations of rounding one weight to the format of Q; 0 where feedback is all that counts.
  public var operationsPerWeight: Double

  /// A shape.
  public init(outputSize: Int, inputSize: Int, rank: Int, operationsPerWeight: Double = 0) {
    self.outputSize = outputSize
    self.inputSize = inputSize
    self.rank = rank
    self.operationsPerWeight = operationsPerWeight
  }
}

extension CompressionMethod {
  /// The method with all its defaults.
  public init() {
    var none = MethodChoices()
    self.init(reading: &none)
  }

  /// The method with the values that are given for its options.
  ///
  /// - Throws: `CompressionPlanError` for an option that the method does not read, and for options that
  ///   contradict each other.
  public init(checking given: MethodChoices) throws(CompressionPlanError) {
    var choices = given
    self.init(reading: &choices)
    if let option = choices.firstUnread {
      throw .unread(
        option: option.name, method: Self.name,
        reason: option.reason(hasLowRank: lowRank != nil))
    }
    try check(given: given)
  }

  /// The name of the method.
  public var name: String { Self.name }

  // MARK: - Defaults

  /// None.
  public var quantization: QuantizationOptions? { nil }
  /// None.
  public var lowRank: LowRankOptions? { nil }
  /// The needs of most methods.
  public var needs: MethodNeeds { MethodNeeds() }

  /// Refuses options of Q or of L R that contradict each other.
  public func check(given: MethodChoices) throws(CompressionPlanError) {
    try quantization?.check()
    try lowRank?.check(given: given)
  }

  /// A sixteenth of the rank.
  ///
  /// The ODLRI paper uses 16 for rank 256.
  public func outlierChannelCount(rank: Int, inputSize: Int) -> Int {
    min(max(1, rank / 16), inputSize - 1)
  }

  /// None.
  public func columnCount(inputSize: Int) -> Int { 0 }

  /// The operations of rounding once with feedback, m n^2, and of measuring its error.
  public func operations(_ shape: MatrixShape) -> Double { shape.rounding + shape.measuring }

  /// None.
  public func workingByteCount(_ shape: MatrixShape) -> Int { 0 }

  /// The errors expected when L R repairs the error of Q.
  public func expectedErrors(_ analysis: MatrixAnalysis) -> [Double] {
    analysis.expectedErrors(.zero)
  }
}

extension MatrixShape {
  private var m: Double { Double(outputSize) }
  private var n: Double { Double(inputSize) }
  private var r: Double { Double(rank) }

  /// The operations of one rounding with feedback: m n^2, and those of the weights.
  public var rounding: Double { m * n * n + m * n * operationsPerWeight }

  /// The operations of one error tr(E H E^T): m n^2.
  public var measuring: Double { m * n * n }

  /// The operations of the closed form of L R.
  ///
  /// With c = 2 r + 8 directions, four products with A, A^T and H in subspace iteration, 8 c (2 m n + n^2); where
  /// all directions are computed, 2 m n^2 + 2 m^2 n + 16 m^3. Packing the large matrix costs as much as 50 rows.
  public var closedForm: Double {
    let directions = 2 * r + 8
    return 3 * directions > m
      ? 2 * m * n * n + 2 * m * m * n + 16 * m * m * m
      : 8 * (directions + 50) * (2 * m * n + n * n)
  }

  /// The operations of one round of the alternation of L and R: 2 n^2 + 6 m n for each component, and as much
  /// as 50 components more for packing the large matrices.
  public var innerRound: Double { (r + 50) * (2 * n * n + 6 * m * n) }
}

extension QuantizationOptions {
  /// W rounded to nearest.
  ///
  /// - Parameters:
  ///   - problem: W, (m, n).
  ///   - algebra: The linear algebra to compute with.
  /// - Returns: Q, (m, n).
  /// - Complexity: O(m n).
  public func nearest(
    to problem: borrowing WeightProblem, _ algebra: LinearAlgebra
  ) -> QuantizedMatrix {
    var result = zeros(
      outputSize: problem.weight.rowCount, inputSize: problem.weight.columnCount)
    FeedbackRounding(algebra, grid).roundToNearest(problem.weight, into: &result)
    return result
  }

  /// A matrix rounded with feedback: LDLQ, which is GPTQ.
  ///
  /// - Parameters:
  ///   - weight: W, or W minus a low-rank part, (m, n).
  ///   - metric: H, (n, n).
  ///   - algebra: The linear algebra to compute with.
  /// - Returns: Q, (m, n).
  /// - Complexity: O(m n^2).
  public func withFeedback(
    _ weight: borrowing Matrix<Float>, _ metric: borrowing Metric, _ algebra: LinearAlgebra
  ) -> QuantizedMatrix {
    var result = zeros(outputSize: weight.rowCount, inputSize: weight.columnCount)
    FeedbackRounding(algebra, grid).round(weight, feedback: metric.feedback, into: &result)
    return result
  }
}

extension LinearAlgebra {
  /// tr((W - Q) H (W - Q)^T).
  public func squaredError(
    of quantized: borrowing QuantizedMatrix, _ problem: borrowing WeightProblem,
    _ metric: borrowing Metric
  ) -> Double {
    var residual = problem.weight.copy()
    add(quantized.values, scale: -1, to: &residual)
    return metric.square(residual, self)
  }
}

extension WeightProblem {
  /// sqrt(error / tr(W H W^T)), or 0 where tr(W H W^T) is 0.
  func relative(_ error: Double) -> Double {
    dampedSquare > 0 ? (max(error, 0) / dampedSquare).squareRoot() : 0
  }

  /// L R of rank 0.
  public var noFactors: StoredFactors {
    StoredFactors(outputSize: weight.rowCount, inputSize: weight.columnCount)
  }
}
