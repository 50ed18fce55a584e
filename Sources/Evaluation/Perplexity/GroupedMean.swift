/// A mean over observations in groups, such as tokens in windows or words in documents.
///
/// Observations of a group are correlated, so `standardErrorOverGroups` is the more realistic standard
/// error; `standardErrorOverObservations` assumes independent observations.
public struct GroupedMean: Sendable, Equatable {
  /// A group: the sum over its observations and their number (its weight).
  public struct Group: Sendable, Equatable {
    /// The sum of the observations.
    public var sum = 0.0
    /// The number of observations.
    public var weight = 0.0

    /// Makes a group, by default an empty one.
    public init(sum: Double = 0, weight: Double = 0) {
      self.sum = sum
      self.weight = weight
    }
  }

  /// The groups that are complete.
  public private(set) var groups: [Group] = []
  /// The number of observations.
  public private(set) var count = 0
  /// The sum of all observations.
  public private(set) var sum = 0.0
  private var sumOfSquares = 0.0
  private var current = Group()

  /// Makes a mean without observations.
  public init() {}

  /// Adds an observation to the open group.
  public mutating func append(_ value: Double) {
    current.sum += value
    current.weight += 1
    sum += value
    sumOfSquares += value * value
    count += 1
  }

  /// Closes the open group.
  public mutating func endGroup() {
    groups.append(current)
    current = Group()
  }

  /// The sum of all observations over their number, or nil when there are none.
  public var mean: Double? { count > 0 ? sum / Double(count) : nil }

  /// The mean of the squares, or nil when there are no observations.
  var meanOfSquares: Double? { count > 0 ? sumOfSquares / Double(count) : nil }

  /// The standard error of the mean of independent observations, or nil for fewer than two.
  ///
  /// sqrt((E[x^2] - E[x]^2) / (count - 1)).
  public var standardErrorOverObservations: Double? {
    guard count > 1, let mean else { return nil }
    // Rounding may make the difference of equal numbers slightly negative.
    let variance = max(0, sumOfSquares / Double(count) - mean * mean)
    return (variance / Double(count - 1)).squareRoot()
  }

  /// The standard error of the mean from the differences between groups, or nil for fewer than two.
  public var standardErrorOverGroups: Double? { Self.standardError(of: groups) }

  /// The standard error of the ratio r = (sum of sums) / (sum of weights) over independent groups.
  ///
  /// sqrt(G / (G - 1) * sum of (sum_g - r * weight_g)^2) / (sum of weights), for G groups; for equal
  /// weights this is the standard deviation of the group means over sqrt(G).
  ///
  /// - Returns: nil for fewer than two groups or no weight.
  ///
  /// Source: Cochran, Sampling Techniques, 3rd edition, section 2.11 (the ratio estimator).
  public static func standardError(of groups: [Group]) -> Double? {
    let weight = groups.reduce(0) { $0 + $1.weight }
    guard groups.count > 1, weight > 0 else { return nil }
    let ratio = groups.reduce(0) { $0 + $1.sum } / weight
    let squares = groups.reduce(0.0) { total, group in
      let residual = group.sum - ratio * group.weight
      return total + residual * residual
    }
    let count = Double(groups.count)
    return (count / (count - 1) * squares).squareRoot() / weight
  }
}
