/// How the scales of Q are found.
public enum ScaleFit: String, Sendable, CaseIterable {
  /// By the least error among scales that clip more or less.
  case search
  /// From the range of the weights, of which nothing is clipped.
  case range

  /// The candidates: scales that clip what is beyond this share of the largest magnitude.
  ///
  /// From no clipping down to 0.35 in 26 equal steps, of which a Gaussian row of any length at two bits
  /// needs the range: its best step is 0.996 standard deviations, and its largest magnitude 2 to 5.
  var clips: [Float] {
    switch self {
    case .search: (0...26).map { 1 - 0.025 * Float($0) }
    case .range: [1]
    }
  }
}
