package import DuetRuntime

extension MatrixAnalysis {
  /// What L R does in a method whose error is predicted.
  public enum Start: String, Sendable, CaseIterable {
    /// L R repairs the error of Q.
    case zero
    /// L R takes the directions of most energy before Q is rounded.
    case lowRank = "low-rank"
    /// L R takes the columns of the outlier channels before Q is rounded.
    case odlri
    /// There is no Q.
    case alone
  }

  /// The expected relative errors with L R of ranks 0, 1, ...
  ///
  /// The rounding of L and R is ignored.
  ///
  /// With e the relative error of Q alone, rho_p(A) the share of tr(A H A^T) that is left without its p largest
  /// components, phi_p the share of |W|_F^2 that is left without those of W, and phi_O the share of |W|_F^2 that is
  /// left without k outlier channels,
  ///
  ///     zero         e(r)^2 = e^2 rho_r(E)
  ///     low-rank     e(r)^2 = e^2 min over p of phi_p rho_(r-p)(E)
  ///     odlri        e(r)^2 = e^2 phi_O rho_(r-k)(E)                 for r >= k, else as zero
  ///     alone        e(r)^2 = rho_r(W)
  ///
  /// Rounding leaves an error in proportion to the scale of what is rounded, whose square is |W - L R|_F^2 per weight,
  /// whatever H is. So what L R takes away first counts by its share of |W|_F^2, not by its share of the outputs. This
  /// holds for rotated matrices, whose weights are all of one size.
  public func expectedErrors(_ start: Start) -> [Double] {
    let weight = Self.remainders(weightEnergies)
    if start == .alone { return weight.map { $0.squareRoot() } }
    let (error, norm) = (Self.remainders(errorEnergies), Self.remainders(weightNorms))
    return error.indices.map { rank in
      let least: Double
      switch start {
      case .zero, .alone: least = error[rank]
      case .lowRank:
        least = (0...min(rank, norm.count - 1)).map { norm[$0] * error[rank - $0] }.min() ?? 1
      case .odlri:
        least =
          rank < channelCount ? error[rank] : channelNormRemainder * error[rank - channelCount]
      }
      return quantizedError * least.squareRoot()
    }
  }

  /// The expected ||Q X|| / ||W X|| and ||L R X|| / ||W X|| for a rank, if Q X and L R X are uncorrelated.
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

  /// The shares of energy that are left without the first p components, for p from 0 on.
  private static func remainders(_ energies: [Double]) -> [Double] {
    var left = 1.0
    return [1.0]
      + energies.map { energy in
        left = max(0, left - energy)
        return left
      }
  }
}

extension MatrixAnalysis.Start {
  /// All cases; of equally good ones the first is preferred.
  package static let byPreference: [MatrixAnalysis.Start] = [.lowRank, .zero, .odlri, .alone]

  /// The method with this start, followed by the start where it is not the method's default.
  package var methodName: String {
    switch self {
    case .lowRank: CALDERA.name
    case .zero: "\(CALDERA.name) zero"
    case .odlri: ODLRI.name
    case .alone: LoRDQ.name
    }
  }

  /// How L R is stored where there is no Q: in the format of a method's factors, in the blocks of LoRDQ.
  package static func aloneStorage(_ method: any CompressionMethod) -> FactorStorage {
    FactorStorage(
      (method.lowRank ?? LowRankOptions()).format, blockSize: LoRDQ().factors.blockSize)
  }
}
