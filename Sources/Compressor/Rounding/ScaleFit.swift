/// How the scales of Q are found.
public enum ScaleFit: String, Sendable, CaseIterable {
  /// The scale of the least error among candidates that clip the largest weights more or less.
  case search
  /// The scale at which no weight is clipped.
  case range

  /// The candidate scales: weights beyond this share of the largest magnitude are clipped.
  ///
  /// From 1, which clips nothing, down to 0.35 in 26 equal steps. Gaussian rows of two bits need all of this
  /// range: their best scale is 0.996 standard deviations, and their largest magnitude is 2 to 5 standard
  /// deviations, depending on the length of the row.
  var clips: [Float] {
    switch self {
    case .search: (0...26).map { 1 - 0.025 * Float($0) }
    case .range: [1]
    }
  }
}
