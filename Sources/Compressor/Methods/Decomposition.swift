package import DuetRuntime

/// A weight matrix as Q + L R, or as one of the two alone, in the basis and scale of its `WeightProblem`.
public struct Decomposition: ~Copyable {
  /// Q, or nil when all of the matrix is L R.
  public var quantized: QuantizedMatrix?
  /// L and R.
  public var factors: StoredFactors
  /// tr((W - Q - L R) H (W - Q - L R)^T) in the metric that was minimised.
  public var error: Double
  /// The runs of the method, in order; the report lists their errors.
  public var runs: [Run]
  /// A word that the report adds to the name of the method, such as what L R started from.
  public var variant: String?
  /// The outlier channels that L R started with.
  public var outlierChannels: [Int] = []
  /// The number of components that preserved W before Q was rounded; nil where the method has no such part.
  public var preservedRank: Int?

  /// A decomposition.
  ///
  /// - Parameters:
  ///   - quantized: Q, or nil.
  ///   - factors: L and R.
  ///   - error: tr((W - Q - L R) H (W - Q - L R)^T).
  ///   - runs: The runs of the method, in order.
  ///   - variant: A word that the report adds to the name of the method.
  public init(
    quantized: consuming QuantizedMatrix?, factors: consuming StoredFactors, error: Double,
    runs: [Run] = [], variant: String? = nil
  ) {
    self.quantized = quantized
    self.factors = factors
    self.error = error
    self.runs = runs
    self.variant = variant
  }

  /// One run of a method.
  public struct Run: Sendable, Hashable {
    /// The start of L R.
    public var start: String
    /// tr(E H E^T) after every half step whose result can be stored, in order.
    public var errors: [Double]

    /// A run.
    public init(from start: LowRankInitialization, errors: [Double]) {
      self.init(from: start.rawValue, errors: errors)
    }

    /// A run that started in a way of its method's own.
    public init(from start: String, errors: [Double]) {
      self.start = start
      self.errors = errors
    }
  }

  /// W - Q - L R.
  package borrowing func residual(
    of weight: borrowing Matrix<Float>, _ algebra: LinearAlgebra
  ) -> Matrix<Float> {
    var result = factors.product.subtracted(from: weight, algebra)
    switch quantized {
    case .none: break
    case .some(let quantized): algebra.add(quantized.values, scale: -1, to: &result)
    }
    return result
  }
}
