public import DuetRuntime

/// A way to decompose one weight matrix, with its options: from W and H to Q, L R or both.
///
/// A method is a value. It owns its options with their defaults, and says what it needs from the rest of a
/// compression, what it will cost and which error can be expected. Calibration, rotation, packing, the journal
/// and the reports know no method by name.
///
/// To add one, write a type in a file of this folder and a line in `MethodList.all`. A program of its own needs
/// no line: it sets `CompressionPlan.method` to its value.
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
  /// - Parameter choices: The values. What is read here is what the method reads: any other option that is
  ///   given is refused.
  init(reading choices: inout MethodChoices)

  /// The values of all options that the method reads; `init(reading:)` makes the same method of them.
  var choices: MethodChoices { get }

  /// How Q is stored and rounded, or nil when there is no Q.
  var quantization: QuantizationOptions? { get }
  /// How L R is stored and fitted, or nil when there is no L R.
  var lowRank: LowRankOptions? { get }
  /// What the method needs from the rest of a compression.
  var needs: MethodNeeds { get }

  /// Refuses options that contradict each other.
  ///
  /// - Parameter given: The values that somebody asked for; empty for a method that a program has made.
  /// - Throws: `CompressionPlanError.conflict`.
  func check(given: MethodChoices) throws(CompressionPlanError)

  /// The number of outlier channels of a matrix: those that ODLRI's start copies, or that are stored as
  /// columns.
  func outlierChannelCount(rank: Int, inputSize: Int) -> Int

  /// The number of channels of a matrix with `inputSize` inputs that are stored as columns.
  func columnCount(inputSize: Int) -> Int

  /// The multiplications and additions of decomposing a matrix, beyond the factors of its metric and the
  /// error of rounding to nearest.
  func operations(_ shape: MatrixShape) -> Double

  /// The bytes that decomposing a matrix holds beyond what every decomposition does.
  func workingByteCount(_ shape: MatrixShape) -> Int

  /// The relative errors that the method is expected to leave with ranks 0, 1, ...
  ///
  /// - Parameter analysis: What is known of the matrix.
  /// - Returns: An error for each rank from 0 on, relative to tr(W H W^T).
  func expectedErrors(_ analysis: MatrixAnalysis) -> [Double]

  /// Decomposes a matrix.
  ///
  /// - Parameters:
  ///   - problem: W, (m, n), rotated as the plan asks.
  ///   - metric: H of its inputs, (n, n).
  ///   - rank: The rank of L R; 0 without.
  ///   - algebra: What computes.
  /// - Returns: What is to be stored, with its error in the metric and what the report says of it.
  /// - Throws: `LinearAlgebraError`.
  func decompose(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, rank: Int,
    _ algebra: LinearAlgebra
  ) throws(LinearAlgebraError) -> Decomposition
}

/// What a method needs from the rest of a compression.
public struct MethodNeeds: Sendable, Hashable {
  /// Whether the inputs of matrices are rescaled before, by what rounding to nearest gains from it.
  public var rescalesInputs = false
  /// The sides that are rotated unless something else is asked for.
  public var incoherence = IncoherenceSides.both
  /// What computes the inputs of later layers unless something else is asked for.
  public var propagation = Propagation.corrected

  /// What most methods need.
  public init() {}
}

/// The shape of a matrix and of its L R, for forecasts.
public struct MatrixShape: Sendable, Hashable {
  /// m, the number of rows.
  public var outputSize: Int
  /// n, the number of columns.
  public var inputSize: Int
  /// r, the rank of L R; 0 without.
  public var rank: Int

  /// A shape.
  public init(outputSize: Int, inputSize: Int, rank: Int) {
    self.outputSize = outputSize
    self.inputSize = inputSize
    self.rank = rank
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
  /// - Throws: `CompressionPlanError` for an option that the method does not read, and options that
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

  // MARK: - What most methods have

  /// None.
  public var quantization: QuantizationOptions? { nil }
  /// None.
  public var lowRank: LowRankOptions? { nil }
  /// The needs of most methods.
  public var needs: MethodNeeds { MethodNeeds() }

  /// Refuses what contradicts itself about Q.
  public func check(given: MethodChoices) throws(CompressionPlanError) {
    try quantization?.check()
    try lowRank?.check(given: given)
  }

  /// A sixteenth of the rank.
  ///
  /// 16 of rank 256 is what the paper on ODLRI documents.
  public func outlierChannelCount(rank: Int, inputSize: Int) -> Int {
    min(max(1, rank / 16), inputSize - 1)
  }

  /// None.
  public func columnCount(inputSize: Int) -> Int { 0 }

  /// What rounding once with feedback takes, m n^2, and measuring the result.
  public func operations(_ shape: MatrixShape) -> Double { shape.rounding + shape.measuring }

  /// None.
  public func workingByteCount(_ shape: MatrixShape) -> Int { 0 }

  /// What is left when L R repairs what Q leaves.
  public func expectedErrors(_ analysis: MatrixAnalysis) -> [Double] {
    analysis.expectedErrors(.zero)
  }
}

extension MatrixShape {
  private var m: Double { Double(outputSize) }
  private var n: Double { Double(inputSize) }
  private var r: Double { Double(rank) }

  /// The operations of one rounding with feedback: m n^2.
  public var rounding: Double { m * n * n }

  /// The operations of one error tr(E H E^T): 2 m n^2.
  public var measuring: Double { 2 * m * n * n }

  /// The operations of the closed form of L R, the eigenvectors by eight multiplications with m^2 numbers:
  /// 2 m n^2 + 2 m^2 n + 16 m^2 r.
  public var closedForm: Double { 2 * m * n * n + 2 * m * m * n + 16 * m * m * r }

  /// The operations of one round of the alternation of L and R: 3 r n^2 + 6 m n r.
  public var innerRound: Double { 3 * r * n * n + 6 * m * n * r }
}

extension QuantizationOptions {
  /// W rounded to nearest.
  ///
  /// - Parameters:
  ///   - problem: W, (m, n).
  ///   - algebra: What computes.
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
  ///   - weight: W, or what is left of it, (m, n).
  ///   - metric: H, (n, n).
  ///   - algebra: What computes.
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
    return square(residual, in: metric.hessian)
  }
}

extension WeightProblem {
  /// sqrt(error / tr(W H W^T)); a matrix without any effect has no error.
  func relative(_ error: Double) -> Double {
    dampedSquare > 0 ? (max(error, 0) / dampedSquare).squareRoot() : 0
  }

  /// L R of rank 0.
  public var noFactors: StoredFactors {
    StoredFactors(outputSize: weight.rowCount, inputSize: weight.columnCount)
  }
}
