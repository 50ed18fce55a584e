/// Q + L R by alternation, starting from the weights on outlier channels: ODLRI.
///
/// Source: Cho et al., ODLRI, arXiv:2506.02077.
public struct ODLRI: AlternatingMethod {
  /// "odlri".
  public static let name = "odlri"
  /// What the method does, for help texts.
  public static let summary =
    "Q + L R, found in turn, whose low-rank part starts with the weights on outlier channels"

  /// How Q is stored and rounded.
  public var rounding: QuantizationOptions
  /// How L R is stored and fitted.
  public var factors: LowRankOptions
  /// How Q and L R are found in turn.
  public var alternation: AlternationOptions

  /// The method with the values that are given.
  public init(reading choices: inout MethodChoices) {
    rounding = QuantizationOptions(reading: &choices)
    factors = LowRankOptions(reading: &choices)
    alternation = AlternationOptions(reading: &choices, standard: .odlri)
  }

  /// Refuses starts of other methods.
  public func check(given: MethodChoices) throws(CompressionPlanError) {
    try checkParts(given: given)
    let start = alternation.initialization
    if alternation.outlierStorage == .none, start != .odlri, start != .auto {
      throw .conflict(
        "--method odlri starts from the outlier channels; --initialization \(start.rawValue) is for "
          + "--method caldera")
    }
  }

  /// The errors expected when L R takes the columns of the outlier channels.
  public func expectedErrors(_ analysis: MatrixAnalysis) -> [Double] {
    analysis.expectedErrors(.odlri)
  }
}
