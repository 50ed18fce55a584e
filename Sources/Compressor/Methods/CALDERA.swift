internal import DuetRuntime

/// Q + L R by alternation, starting from the singular value decomposition, from zero, or from the best low-rank
/// matrix in the metric: CALDERA.
///
/// The first start is our own, and the default.
///
/// Source: Saha et al., CALDERA, arXiv:2405.18886.
public struct CALDERA: AlternatingMethod {
  /// "caldera".
  public static let name = "caldera"
  /// What the method does, for help texts.
  public static let summary =
    "Q + L R, found in turn from the singular value decomposition of W, from zero or from the best low-rank matrix"

  /// How Q is stored and rounded.
  public var rounding: QuantizationOptions
  /// How L R is stored and fitted.
  public var factors: LowRankOptions
  /// How Q and L R are found in turn.
  public var alternation: AlternationOptions

  /// The method with the values that are given.
  ///
  /// Where no option of L R is given, there is none: Q takes its bits, as `trellis2_5`, and is not refined. At
  /// equal bits that is better, see docs/study-smollm2.md.
  public init(reading choices: inout MethodChoices) {
    let hasLowRank = choices.asksForLowRank
    rounding = QuantizationOptions(
      reading: &choices, standard: hasLowRank ? .e8p : .trellis2_5)
    let isAlone = !hasLowRank && rounding.format.coding == .trellis
    factors = LowRankOptions(reading: &choices, standardRank: isAlone ? 0 : nil)
    alternation = AlternationOptions(
      reading: &choices, standard: .svd, standardRefinement: isAlone ? 0 : 3)
  }

  /// Refuses ODLRI's start, and a number of outlier channels that nothing would use.
  public func check(given: MethodChoices) throws(CompressionPlanError) {
    try checkParts(given: given)
    if alternation.outlierStorage == .int8 { return }
    if alternation.initialization == .odlri {
      throw .conflict("--initialization odlri is --method odlri, not caldera")
    }
    if alternation.outlierChannelCount != nil, alternation.initialization != .auto {
      throw .conflict(
        "--outlier-channels has no meaning with --method caldera unless they are stored apart, by "
          + "--outlier-storage int8")
    }
  }

  /// The errors expected when L R repairs Q, or when a part of L R preserves W.
  public func expectedErrors(_ analysis: MatrixAnalysis) -> [Double] {
    analysis.expectedErrors(alternation.initialization == .zero ? .zero : .lowRank)
  }
}
