public import DuetRuntime

/// How a model is to be compressed: every choice that changes a byte of the result.
public struct CompressionPlan: Sendable, Hashable {
  /// What a weight matrix is decomposed by; the types that do it are `implementation`.
  public enum Method: String, Sendable, CaseIterable {
    /// Q + L R whose low-rank part starts with the weights on outlier channels (arXiv 2506.02077).
    case odlri
    /// Q + L R by alternation (arXiv 2405.18886), from zero or from the best low-rank matrix.
    case caldera
    /// Q + L R, a part of whose rank preserves W before Q and the rest repairs it after (arXiv
    /// 2602.02001).
    case srr
    /// Q rounded to nearest and repaired once, in the metric of the activations (arXiv 2410.06040).
    case qera
    /// The same, with the second moment of each activation alone (arXiv 2402.02446).
    case lqer
    /// L R alone, found block by block.
    case lordq
    /// Q alone, rounded with feedback (arXiv 2210.17323, in the form LDLQ of arXiv 2307.13304).
    case gptq
    /// Q alone, rounded to nearest with the inputs rescaled (arXiv 2306.00978).
    case awq
    /// Q alone, each weight rounded to the nearest value.
    case rtn

    /// Whether there is a low-rank part.
    public var hasLowRank: Bool { implementation.hasLowRank }
    /// Whether there is a quantised part.
    public var hasQuantized: Bool { implementation.hasQuantized }
  }

  /// What the low-rank part starts from.
  public enum Initialization: String, Sendable, CaseIterable {
    /// L = R = 0: Q answers for everything first.
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

  /// How the factors L and R are stored.
  public typealias FactorFormat = DuetRuntime.FactorFormat

  /// How the factors are brought onto their grid.
  public enum FactorRounding: String, Sendable, CaseIterable {
    /// Each entry to the nearest value.
    case nearest
    /// With error feedback, in the metric that each factor's error has.
    case feedback
  }

  /// How the output head is stored.
  public enum HeadFormat: String, Sendable, CaseIterable {
    /// Eight bits with group scales.
    case int8
    /// Half precision.
    case f16
  }

  /// Where the weights on outlier channels go.
  public enum OutlierStorage: String, Sendable, CaseIterable {
    /// Nowhere of their own: they are part of Q + L R.
    case none
    /// Into columns of eight bits beside Q + L R, which is then fitted to the rest.
    case int8
  }

  /// How the scales of Q are found.
  public enum ScaleFit: String, Sendable, CaseIterable {
    /// By the least error among scales that clip more or less.
    case search
    /// From the range of the weights, of which nothing is clipped.
    case range
  }

  /// Where the values of Q lie.
  public typealias GridKind = DuetRuntime.GridKind

  /// Which sides of a matrix are rotated.
  public typealias IncoherenceSides = DuetRuntime.IncoherenceSides

  /// The weights that the inputs of later layers are computed with.
  public enum Propagation: String, Sendable, CaseIterable {
    /// The compressed ones, so that later layers make up for earlier ones.
    case compressed
    /// The original ones.
    case original
    /// The compressed ones, and each matrix is fitted to what the original model computes where it
    /// stands, not to its own weights (arXiv 2504.09629).
    case corrected
  }

  /// What the matrices are decomposed by.
  public var method = Method.caldera
  /// How Q is stored.
  public var format = WeightFormat.e8p
  /// How many columns of Q share a scale.
  public var groupSize = GroupSize.row
  /// Where the values of Q lie.
  public var grid = GridKind.symmetric
  /// How the scales of Q are found.
  public var scaleFit = ScaleFit.search
  /// Whether columns are rounded by falling second moment of their inputs.
  public var ordersByActivation = false
  /// How the output head is stored.
  public var headFormat = HeadFormat.int8
  /// The rank of L R, at most what the smaller side of a matrix allows.
  public var rank = 64
  /// The bits per weight of all compressed matrices that the ranks are chosen for, or nil for the same
  /// rank everywhere.
  public var targetBits: Double?
  /// The ranks that were chosen so, by the names of the linear layers; no choice, but what follows from it.
  public var moduleRanks: [String: Int] = [:]
  /// How L and R are stored.
  public var factorFormat = FactorFormat.int4
  /// The components that are found together where L R is all there is.
  public var factorBlockSize = GroupSize.columns32
  /// How L and R are rounded.
  public var factorRounding = FactorRounding.feedback
  /// The number of outlier channels of a matrix, nil for a sixteenth of the rank.
  public var outlierChannelCount: Int?
  /// Where their weights go.
  public var outlierStorage = OutlierStorage.none
  /// What L R starts from.
  public var initialization = Initialization.lowRank
  /// Which half comes first.
  public var updateOrder = UpdateOrder.quantizedFirst
  /// Rounds of the alternation of Q and L R.
  public var outerIterations = 5
  /// Rounds of the alternation of L and R.
  public var innerIterations = 10
  /// Rounds of coordinate descent on Q and L R with fixed scales, after the alternation.
  public var refinementRounds = 3
  /// Whether Q is fitted in the metric that the space of L R is projected out of.
  public var projectsMetric = false
  /// What is added to the Hessian's diagonal, relative to its mean.
  public var damping = 0.01
  /// Which sides are rotated.
  public var incoherence = IncoherenceSides.both
  /// What computes the inputs of later layers.
  public var propagation = Propagation.corrected
  /// The number of calibration samples.
  public var sampleCount = 128
  /// The tokens of a calibration sample.
  public var contextLength = 2048
  /// Where all random choices come from.
  public var seed: UInt64 = 0
  /// Linear layers that stay as they are, by the ends of their names.
  public var keptNames: [String] = []

  /// The plan with the defaults.
  public init() {}
}
