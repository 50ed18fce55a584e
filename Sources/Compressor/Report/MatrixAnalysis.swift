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

  /// What an expectation is made for.
  public enum Start: String, Sendable, CaseIterable {
    /// L R repairs what Q leaves.
    case zero
    /// L R takes the directions of most energy before Q is rounded.
    case lowRank = "low-rank"
    /// L R takes the columns of the outlier channels before Q is rounded.
    case odlri
    /// There is no Q.
    case alone
  }

  /// The relative errors that L R is expected to leave, by its rank from 0 on.
  ///
  /// L and R count as exact.
  ///
  /// With e the error of Q alone, rho_p the share of energy that is left behind p components, rho_O that
  /// without k outlier channels,
  ///
  ///     zero         e(r)^2 = e^2 rho_r(E)
  ///     low-rank     e(r)^2 = e^2 min over p of rho_p(W) rho_(r-p)(E)
  ///     odlri        e(r)^2 = e^2 rho_O rho_(r-k)(E)                 for r >= k, else zero's
  ///     alone        e(r)^2 = rho_r(W)
  ///
  /// The second is the criterion of SRR, arXiv:2602.02001, with the error that Q has; the third is the same for
  /// what ODLRI preserves.
  public func expectedErrors(_ start: Start) -> [Double] {
    let weight = Self.remainders(weightEnergies)
    if start == .alone { return weight.map { $0.squareRoot() } }
    let error = Self.remainders(errorEnergies)
    return error.indices.map { rank in
      let least: Double
      switch start {
      case .zero, .alone: least = error[rank]
      case .lowRank:
        least = (0...min(rank, weight.count - 1)).map { weight[$0] * error[rank - $0] }.min() ?? 1
      case .odlri:
        least =
          rank < channelCount ? error[rank] : channelRemainder * error[rank - channelCount]
      }
      return quantizedError * least.squareRoot()
    }
  }

  /// The relative errors that a method with L R is expected to leave with ranks 0, 1, ...
  public func expectedErrors(
    _ method: CompressionPlan.Method, _ start: CompressionPlan.Initialization
  ) -> [Double] {
    switch method {
    case .lordq: expectedErrors(.alone)
    case .srr: expectedErrors(.lowRank)
    case .odlri: expectedErrors(.odlri)
    case .caldera: expectedErrors(start == .zero ? .zero : .lowRank)
    case .qera, .lqer, .gptq, .awq, .rtn: expectedErrors(.zero)
    }
  }

  /// ||Q X|| / ||W X|| and ||L R X|| / ||W X|| that are expected of a rank, where both are uncorrelated.
  public func expectedRoles(_ start: Start, rank: Int) -> (quantized: Double, lowRank: Double) {
    let weight = Self.remainders(weightEnergies)
    let error = Self.remainders(errorEnergies)
    let left = weight[min(rank, weight.count - 1)]
    switch start {
    case .alone: return (0, (1 - left).squareRoot())
    case .lowRank: return (left.squareRoot(), (1 - left).squareRoot())
    case .odlri: return (channelRemainder.squareRoot(), max(0, 1 - channelRemainder).squareRoot())
    case .zero:
      let repaired = 1 - error[min(rank, error.count - 1)]
      return (
        max(0, 1 - quantizedError * quantizedError).squareRoot(),
        quantizedError * repaired.squareRoot()
      )
    }
  }

  /// What is left behind components, by their number from 0 on.
  private static func remainders(_ energies: [Double]) -> [Double] {
    var left = 1.0
    return [1.0]
      + energies.map { energy in
        left = max(0, left - energy)
        return left
      }
  }
}
