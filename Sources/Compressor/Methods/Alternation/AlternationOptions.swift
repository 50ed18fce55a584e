/// What the low-rank part of an alternation starts from.
public enum LowRankInitialization: String, Sendable, CaseIterable {
  /// L R = 0: the first Q is near W itself.
  case zero
  /// The best low-rank matrix in the metric of the activations.
  case lowRank = "low-rank"
  /// The columns of the outlier channels, copied.
  case odlri
  /// The best of a rank that leaves components to repair Q with.
  case srr
  /// All of these, one after the other; the least error stays.
  case auto
}

/// Which half of a round of the alternation comes first.
public enum UpdateOrder: String, Sendable, CaseIterable {
  /// Q, then L R: as the paper has it.
  case quantizedFirst = "quantized-first"
  /// L R, then Q: as the authors' program does it.
  case lowRankFirst = "low-rank-first"
}

/// Where the weights on outlier channels go.
public enum OutlierStorage: String, Sendable, CaseIterable {
  /// Nowhere of their own: they are part of Q + L R.
  case none
  /// Into columns of eight bits beside Q + L R, which is then fitted to the rest.
  case int8
}

/// How Q and L R are found in turn.
public struct AlternationOptions: Sendable, Hashable {
  /// What L R starts from.
  public var initialization = LowRankInitialization.lowRank
  /// Which half comes first.
  public var updateOrder = UpdateOrder.quantizedFirst
  /// Rounds of the alternation of Q and L R.
  public var outerIterations = 5
  /// Rounds of coordinate descent on Q and L R with fixed scales, after the alternation.
  public var refinementRounds = 3
  /// Whether Q is fitted in the metric that the space of L R is projected out of.
  public var projectsMetric = false
  /// The number of outlier channels of a matrix, nil for a sixteenth of the rank.
  public var outlierChannelCount: Int?
  /// Where their weights go.
  public var outlierStorage = OutlierStorage.none

  /// Five rounds from the best low-rank matrix.
  public init() {}

  /// The options that are given.
  ///
  /// - Parameters:
  ///   - choices: The values that are given.
  ///   - standard: What L R starts from where nothing is given and outliers have no columns of their own.
  init(reading choices: inout MethodChoices, standard: LowRankInitialization) {
    outlierChannelCount = choices.read(MethodOptions.outlierChannelCount)
    outlierStorage = choices.read(MethodOptions.outlierStorage)
    initialization = choices.read(
      MethodOptions.initialization, default: outlierStorage == .int8 ? .zero : standard)
    updateOrder = choices.read(MethodOptions.updateOrder)
    outerIterations = choices.read(MethodOptions.outerIterations)
    refinementRounds = choices.read(MethodOptions.refinementRounds, default: refinementRounds)
    projectsMetric = choices.read(MethodOptions.projectsMetric)
  }

  /// Adds the values to those of other options.
  func write(to choices: inout MethodChoices) {
    choices.set(MethodOptions.outlierChannelCount, to: outlierChannelCount)
    choices.set(MethodOptions.outlierStorage, to: outlierStorage)
    choices.set(MethodOptions.initialization, to: initialization)
    choices.set(MethodOptions.updateOrder, to: updateOrder)
    choices.set(MethodOptions.outerIterations, to: outerIterations)
    choices.set(MethodOptions.refinementRounds, to: refinementRounds)
    choices.set(MethodOptions.projectsMetric, to: projectsMetric)
  }

  /// What L R starts from, one after the other.
  ///
  /// Without a low-rank part there is one run, and nothing to start from.
  func initializations(rank: Int) -> [LowRankInitialization] {
    if rank == 0 { return [.zero] }
    switch initialization {
    // With columns of their own the outlier channels are no matter for L R.
    case .auto:
      return outlierStorage == .int8 ? [.zero, .lowRank] : [.zero, .lowRank, .odlri, .srr]
    case .zero, .lowRank, .odlri, .srr: return [initialization]
    }
  }
}
