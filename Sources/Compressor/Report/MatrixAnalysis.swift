/// The figures of a weight matrix and its inputs before it is compressed.
public struct MatrixAnalysis: Sendable, Hashable {
  /// The name of the linear layer, without ".weight".
  public var name = ""
  /// The number of rows.
  public var outputSize = 0
  /// The number of columns.
  public var inputSize = 0
  /// The largest eigenvalues of W H W^T, as shares of their sum, largest first.
  public var weightEnergies: [Double] = []
  /// What the eigenvectors of `weightEnergies` take of |W|_F^2, as shares of it, in the same order.
  public var weightNorms: [Double] = []
  /// The largest eigenvalues of E H E^T, as shares of their sum, empty where there is no Q.
  ///
  /// E = W - Q is the error of rounding W with feedback.
  public var errorEnergies: [Double] = []
  /// The relative error of rounding with feedback, without L R: the root of tr(E H E^T) / tr(W H W^T); 1
  /// where there is no Q.
  public var quantizedError = 1.0
  /// The participation ratio of the eigenvalues lambda of W H W^T: (sum of lambda)^2 / (sum of lambda^2).
  public var effectiveRank = 0.0
  /// The inputs whose second moment is more than ten times the median, largest first.
  public var outlierChannels: [Int] = []
  /// The second moments of the 32 largest inputs, as shares of the sum of all.
  public var largestMoments: [Double] = []
  /// The number of inputs that are zero on all tokens.
  public var deadInputCount = 0
  /// The number of outlier channels that ODLRI's start copies into an L R of the plan's rank.
  public var channelCount = 0
  /// The share of tr(W H W^T) that is left when the columns of these channels are set to zero.
  public var channelRemainder = 1.0
  /// The share of |W|_F^2 that is left when the columns of these channels are set to zero.
  public var channelNormRemainder = 1.0

  /// An empty analysis.
  public init() {}

  /// A second moment of this many times the median makes an input an outlier.
  static let outlierFactor = 10.0
}
