public import DuetRuntime
internal import DuetText

/// The options that several methods read, in the order of reports.
///
/// A method may declare further options in its own file; `MethodList.options` has those too.
public enum MethodOptions {
  private static let noQuantized = "has no Q"
  private static let noLowRank = "has no low-rank part"
  private static let noAlternation = "does not alternate"

  // MARK: - Q

  /// How Q is stored.
  public static let format = MethodOption<WeightFormat>(
    "format", key: "format", among: CompressedFormat.quantizedFormats,
    help: "How Q is stored; see below; e8p with caldera too where an option of L R is given",
    unreadReason: noQuantized, standard: .e8p)
  /// How many columns of Q share a scale.
  public static let groupSize = MethodOption<GroupSize>(
    "group-size", key: "group_size", among: GroupSize.allCases,
    help: "Columns of Q that share a scale", defaultText: "128 with int2, int3 and int4, else row",
    unreadReason: noQuantized, standard: .row, encode: \.json)
  /// The grid on which the values of Q lie.
  public static let grid = MethodOption<GridKind>(
    "grid", key: "grid", among: GridKind.allCases,
    help: "The values that Q can have; with asymmetric, one of them is zero",
    unreadReason: noQuantized, standard: .symmetric)
  /// How the scales of Q are found.
  public static let scaleFit = MethodOption<ScaleFit>(
    "scale-fit", key: "scale_fit", among: ScaleFit.allCases,
    help: "Whether scales are searched for the smallest error, or cover the range of the weights",
    unreadReason: noQuantized, standard: .search)
  /// Whether columns are rounded in the order of falling second moments of their inputs.
  public static let ordersByActivation = MethodOption(
    flag: "act-order", key: "orders_by_activation",
    help: "Round the columns with the largest inputs first",
    unreadReason: "does not round the columns in an order of its own")

  /// The options of Q.
  static let ofQuantized: [any MethodOptionDeclaration] = [
    format, groupSize, grid, scaleFit, ordersByActivation,
  ]

  // MARK: - L R

  /// The rank of L R.
  public static let rank = MethodOption<Int>(
    "rank", key: "rank", "R", in: 0...8192,
    help: "Rank of L R, at most the smaller side of a matrix; 0 for none, which is caldera's "
      + "default where no option of L R is given",
    defaultText:
      "\(MethodChoices.largestDefaultRank), or a sixteenth of the hidden size if that is less",
    unreadReason: noLowRank, standard: \.defaultRank)
  /// The bits per weight of all compressed matrices together, which the ranks are chosen to meet.
  public static let targetBits = MethodOption<Double?>(
    "target-bits", key: "target_bits", placeholder: "B",
    help: "Choose the rank of every matrix so that all together take B bits per weight",
    expected: "a number above 0, up to 32", unreadReason: noLowRank, standard: { _ in nil },
    parse: { text in Double(text).flatMap { $0 > 0 && $0 <= 32 ? .some(.some($0)) : nil } },
    encode: { $0.map { .number($0) } ?? .null }, text: { $0.map { "\($0)" } ?? "none" },
    isAbsence: { $0 == nil })
  /// How L and R are stored.
  public static let factorFormat = MethodOption<FactorFormat>(
    "lr-format", key: "factor_format", among: FactorFormat.allCases,
    help: "How L and R are stored", unreadReason: noLowRank, standard: .int4)
  /// The number of components that are found together where there is no Q.
  public static let factorBlockSize = MethodOption<GroupSize>(
    "lr-block-size", key: "factor_block_size", among: GroupSize.allCases,
    help: "Components of L R that are computed together when there is no Q",
    unreadReason: "finds all components together", reasonWithoutLowRank: noLowRank,
    standard: .columns32, encode: \.json)
  /// How L and R are rounded.
  public static let factorRounding = MethodOption<FactorRounding>(
    "lr-rounding", key: "factor_rounding", among: FactorRounding.allCases,
    help: "How L and R are rounded", unreadReason: noLowRank,
    standard: .feedback)
  /// The number of outlier channels of a matrix.
  public static let outlierChannelCount = MethodOption<Int?>(
    "outlier-channels", key: "outlier_channel_count", placeholder: "K",
    help: "The number of input channels of a matrix that are treated as outliers",
    defaultText: "a sixteenth of the rank, at least 1", expected: "an integer from 1 to 8192",
    unreadReason: noAlternation, reasonWithoutLowRank: noLowRank, standard: { _ in nil },
    parse: { text in Int(text).flatMap { (1...8192).contains($0) ? .some(.some($0)) : nil } },
    encode: { $0.map { .integer($0) } ?? .null }, text: { $0.map { "\($0)" } ?? "none" },
    isAbsence: { $0 == nil })
  /// How the weights on outlier channels are stored.
  public static let outlierStorage = MethodOption<OutlierStorage>(
    "outlier-storage", key: "outlier_storage", among: OutlierStorage.allCases,
    help: "int8 stores the weights of outlier channels separately, as columns of eight bits",
    unreadReason: noAlternation, reasonWithoutLowRank: noLowRank, standard: .none,
    absence: OutlierStorage.none)
  /// The start of L R.
  public static let initialization = MethodOption<LowRankInitialization>(
    "initialization", key: "initialization", among: LowRankInitialization.allCases,
    help: "The initial L R; auto tries all and keeps the best; zero is the default with "
      + "--outlier-storage int8, low-rank with --update-order low-rank-first",
    unreadReason: noAlternation, reasonWithoutLowRank: noLowRank, standard: .zero)
  /// Which half of a round of the alternation comes first.
  public static let updateOrder = MethodOption<UpdateOrder>(
    "update-order", key: "update_order", among: UpdateOrder.allCases,
    help: "Whether Q or L R is updated first in an outer iteration", unreadReason: noAlternation,
    reasonWithoutLowRank: noLowRank, standard: .quantizedFirst)
  /// Rounds of the alternation of Q and L R.
  public static let outerIterations = MethodOption<Int>(
    "outer-iterations", key: "outer_iterations", "N", in: 1...1000,
    help: "Rounds of the alternation of Q and L R", unreadReason: noAlternation,
    reasonWithoutLowRank: noLowRank, standard: { _ in 5 })
  /// Rounds of the alternation of L and R.
  public static let innerIterations = MethodOption<Int>(
    "inner-iterations", key: "inner_iterations", "N", in: 1...1000,
    help: "Rounds of the alternation of L and R in each fit of L R", unreadReason: noLowRank,
    standard: { _ in 10 })
  /// Rounds of coordinate descent after the other steps, with fixed scales.
  public static let refinementRounds = MethodOption<Int>(
    "refinement-rounds", key: "refinement_rounds", "N", in: 0...1000,
    help: "Rounds of coordinate descent after the decomposition, with fixed scales; 3 with "
      + "caldera too where an option of L R is given",
    unreadReason: "has nothing to refine", standard: { _ in 0 })
  /// Whether Q is fitted in the metric from which the space of L R is projected out.
  public static let projectsMetric = MethodOption<Bool>(
    "hessian-downdate", key: "projects_metric", placeholder: nil,
    help: "Fit Q only to the part that L R cannot correct, instead of to all of W", expected: "",
    unreadReason: noAlternation, reasonWithoutLowRank: noLowRank, standard: { _ in false },
    parse: { _ in true }, encode: { .boolean($0) }, text: { $0 ? "yes" : "no" },
    isAbsence: { !$0 })

  /// The options of L R.
  static let ofLowRank: [any MethodOptionDeclaration] = [
    rank, targetBits, factorFormat, factorBlockSize, factorRounding, outlierChannelCount,
    outlierStorage, initialization, updateOrder, outerIterations, innerIterations,
    refinementRounds, projectsMetric,
  ]

  /// All options of Q and of L R.
  public static let all: [any MethodOptionDeclaration] = ofQuantized + ofLowRank
}

extension GroupSize {
  /// The number of columns, or "row".
  var json: JSONOutput { columnCount.map { .integer($0) } ?? .string(rawValue) }
}
