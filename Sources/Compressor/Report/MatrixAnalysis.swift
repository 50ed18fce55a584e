/// What can be said of a weight matrix and its inputs before it is compressed.
public struct MatrixAnalysis: Sendable, Hashable {
  /// The name of the linear layer, without ".weight".
  public var name = ""
  /// The number of rows.
  public var outputSize = 0
  /// The number of columns.
  public var inputSize = 0
  /// The largest eigenvalues of W H W^T, as shares of their sum, largest first.
  public var weightEnergies: [Double] = []
  /// The largest eigenvalues of E H E^T, as shares of their sum, empty where there is no Q.
  ///
  /// E is what rounding W with feedback leaves.
  public var errorEnergies: [Double] = []
  /// The relative error of rounding with feedback, without L R: the root of tr(E H E^T) / tr(W H W^T); 1
  /// where there is no Q.
  public var quantizedError = 1.0
  /// The number of directions that would hold the energy of W H W^T if all held as much.
  public var effectiveRank = 0.0
  /// The inputs by falling second moment, as many as count as outliers: more than ten times the median.
  public var outlierChannels: [Int] = []
  /// The second moments of the 32 largest inputs, as shares of the sum of all.
  public var largestMoments: [Double] = []
  /// The inputs that are zero on all tokens.
  public var deadInputCount = 0
  /// How many of the largest inputs an L R of the plan's rank would start with by ODLRI.
  public var channelCount = 0
  /// What W without its columns on those leaves of tr(W H W^T), as a share.
  public var channelRemainder = 1.0

  /// The analysis of no matrix.
  public init() {}

  /// A second moment of this many times the median makes an input an outlier.
  static let outlierFactor = 10.0
}
