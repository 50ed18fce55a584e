/// The figures of one compressed matrix in the report.
public struct MatrixRecord: Sendable, Hashable {
  /// The name of the linear layer, without ".weight".
  public var name = ""
  /// The number of rows.
  public var outputSize = 0
  /// The number of columns.
  public var inputSize = 0
  /// How the matrix was decomposed, "caldera zero" for example.
  public var method = ""
  /// Whether all inputs were zero on the samples.
  ///
  /// H is then the identity: all weights count the same, and a Q alone is rounded to nearest.
  public var inputsAreZero = false
  /// sqrt(tr(E H E^T) / tr(W H W^T)) with the Hessian as measured.
  public var relativeError = 0.0
  /// sqrt(tr(E H E^T) / tr(W H W^T)) with the damped Hessian, the error that was minimised.
  public var dampedRelativeError = 0.0
  /// The damped relative error of rounding to nearest, in the same basis; 1 where there is no Q.
  public var roundToNearestError = 0.0
  /// The damped relative error of rounding with feedback, in the same basis; 1 where there is no Q.
  public var feedbackRoundingError = 0.0
  /// The damped relative error after every half step, by initialisation.
  public var traces: [Trace] = []
  /// The mean of the scales of Q.
  public var meanScale = 0.0
  /// The largest scale of Q.
  public var largestScale = 0.0
  /// ||Q X|| / ||W X||.
  public var quantizedRole = 0.0
  /// ||L R X|| / ||W X||.
  public var lowRankRole = 0.0
  /// The number that was added to the Hessian's diagonal, relative to the mean of the diagonal.
  public var damping = 0.0
  /// |W* - W| / |W|, with W* the weights after the correction for earlier compressed matrices; 0 without
  /// correction.
  public var correction = 0.0
  /// The damping of the correction, relative to the mean of the Hessian's diagonal; 0 without correction.
  public var correctionDamping = 0.0
  /// The outlier channels, in the order of their columns; empty when there are none.
  public var outlierChannels: [Int] = []
  /// The rank of L R.
  public var rank = 0
  /// The number of components that preserved W before Q was rounded; nil where the method has no such part.
  public var preservedRank: Int?
  /// The exponent alpha of `ChannelScaling` that inputs were rescaled with, or nil without rescaling.
  public var scalingExponent: Double?
  /// Of the embedding, the Kullback-Leibler divergence of the original model with only this matrix compressed
  /// from the original model, in nats per token; nil for other matrices, and when samples have one token.
  public var klDivergence: Double?
  /// The bytes of all tensors of the matrix.
  public var byteCount = 0

  /// The errors of one run of the alternation.
  public struct Trace: Sendable, Hashable {
    /// The start of L R in this run.
    public var initialization: String
    /// The damped relative error after every half step that can be stored.
    public var errors: [Double]

    /// A trace.
    public init(initialization: String, errors: [Double]) {
      self.initialization = initialization
      self.errors = errors
    }
  }

  /// An empty record.
  public init() {}

  /// The stored bits divided by the number of weights.
  public var bitsPerWeight: Double {
    Double(byteCount) * 8 / (Double(outputSize) * Double(inputSize))
  }
}
