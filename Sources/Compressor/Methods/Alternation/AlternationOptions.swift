/// The start of the low-rank part of an alternation.
public enum LowRankInitialization: String, Sendable, CaseIterable {
  /// L R = 0: the first Q is near W itself.
  case zero
  /// The best low-rank matrix in the metric of the activations.
  case lowRank = "low-rank"
  /// The best low-rank matrix in the Frobenius norm: the singular value decomposition of W, cut off.
  ///
  /// What remains for the first Q is as small as it can be, and with it the scale of Q.
  case svd
  /// The columns of the outlier channels, copied.
  case odlri
  /// The best matrix of a smaller rank, chosen by `RankSplit`; the other components repair Q.
  case srr
  /// All of these in turn; the result with the least error is kept.
  case auto
}

/// Which half of a round of the alternation comes first.
public enum UpdateOrder: String, Sendable, CaseIterable {
  /// Q, then L R, as in the paper.
  case quantizedFirst = "quantized-first"
  /// L R, then Q, as in the authors' program.
  case lowRankFirst = "low-rank-first"
}

/// How the weights on outlier channels are stored.
public enum OutlierStorage: String, Sendable, CaseIterable {
  /// As part of Q + L R.
  case none
  /// As columns of eight bits; Q + L R is then fitted to the other weights.
  case int8
}

/// How Q and L R are found in turn.
public struct AlternationOptions: Sendable, Hashable {
  /// The start of L R.
  public var initialization = LowRankInitialization.svd
  /// Which half comes first.
  public var updateOrder = UpdateOrder.quantizedFirst
  /// Rounds of the alternation of Q and L R.
  public var outerIterations = 5
  /// Rounds of coordinate descent on Q and L R with fixed scales, after the alternation.
  public var refinementRounds = 3
  /// Whether Q is fitted in the metric from which the space of L R is projected out.
  public var projectsMetric = false
  /// The number of outlier channels of a matrix, nil for a sixteenth of the rank.
  public var outlierChannelCount: Int?
  /// How the weights on outlier channels are stored.
  public var outlierStorage = OutlierStorage.none

  /// The default options: five rounds from the singular value decomposition.
  public init() {}

  /// The options that are given.
  ///
  /// - Parameters:
  ///   - choices: The values that are given.
  ///   - standard: The default start of L R where outlier channels are not stored as columns.
  ///   - standardRefinement: The default rounds of coordinate descent.
  init(
    reading choices: inout MethodChoices, standard: LowRankInitialization,
    standardRefinement: Int = 3
  ) {
    outlierChannelCount = choices.read(MethodOptions.outlierChannelCount)
    outlierStorage = choices.read(MethodOptions.outlierStorage)
    updateOrder = choices.read(MethodOptions.updateOrder)
    // Low-rank first means that the first L R is fitted in the metric.
    let usual = standard == .svd && updateOrder == .lowRankFirst ? .lowRank : standard
    initialization = choices.read(
      MethodOptions.initialization, default: outlierStorage == .int8 ? .zero : usual)
    outerIterations = choices.read(MethodOptions.outerIterations)
    refinementRounds = choices.read(MethodOptions.refinementRounds, default: standardRefinement)
    projectsMetric = choices.read(MethodOptions.projectsMetric)
  }

  /// Adds the values of these options to `choices`.
  func write(to choices: inout MethodChoices) {
    choices.set(MethodOptions.outlierChannelCount, to: outlierChannelCount)
    choices.set(MethodOptions.outlierStorage, to: outlierStorage)
    choices.set(MethodOptions.initialization, to: initialization)
    choices.set(MethodOptions.updateOrder, to: updateOrder)
    choices.set(MethodOptions.outerIterations, to: outerIterations)
    choices.set(MethodOptions.refinementRounds, to: refinementRounds)
    choices.set(MethodOptions.projectsMetric, to: projectsMetric)
  }

  /// The starts of L R that are tried, in order.
  ///
  /// Without a low-rank part there is one run, from zero.
  func initializations(rank: Int) -> [LowRankInitialization] {
    if rank == 0 { return [.zero] }
    switch initialization {
    // L R need not represent outlier channels that are stored as columns.
    case .auto:
      return outlierStorage == .int8
        ? [.zero, .lowRank, .svd] : [.zero, .lowRank, .svd, .odlri, .srr]
    case .zero, .lowRank, .svd, .odlri, .srr: return [initialization]
    }
  }
}
