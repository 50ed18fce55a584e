import DuetEvaluation
import Testing

@Suite("Statistics of perplexity")
struct PerplexityStatisticsTests {
  // Sums of at most ten numbers below 10: rounding stays under 10 * 100 * 2^-53 < 1e-12.
  private let tolerance = 1e-12

  @Test("nothing has no mean and no error")
  func nothing() {
    let mean = GroupedMean()
    #expect(mean.mean == nil)
    #expect(mean.standardErrorOverObservations == nil)
    #expect(mean.standardErrorOverGroups == nil)
  }

  @Test("the error over observations follows its formula")
  func overObservations() throws {
    var mean = GroupedMean()
    for value in [1.0, 2, 3, 6] { mean.append(value) }
    mean.endGroup()
    #expect(mean.mean == 3)
    // E[x^2] = 50 / 4, E[x]^2 = 9: sqrt(3.5 / 3).
    let error = try #require(mean.standardErrorOverObservations)
    #expect(abs(error - (3.5 / 3).squareRoot()) < tolerance)
    #expect(mean.standardErrorOverGroups == nil)
  }

  @Test("the error of equal observations is neither negative nor NaN")
  func equalObservationsHaveNoError() throws {
    var mean = GroupedMean()
    for _ in 0..<1000 { mean.append(0.1) }
    #expect(try #require(mean.standardErrorOverObservations) >= 0)
  }

  @Test("equal groups give the error of their means")
  func equalGroupsGiveTheErrorOfTheirMeans() throws {
    var mean = GroupedMean()
    for group in [[1.0, 3], [2, 4], [5, 9]] {
      for value in group { mean.append(value) }
      mean.endGroup()
    }
    #expect(mean.mean == 4)
    // Means 2, 3, 7 around 4: squares 4 + 1 + 9 = 14; sqrt(14 / 2 / 3).
    let error = try #require(mean.standardErrorOverGroups)
    #expect(abs(error - (14.0 / 6).squareRoot()) < tolerance)
  }

  @Test("unequal groups give the error of a ratio")
  func unequalGroupsGiveTheErrorOfARatio() throws {
    let groups = [
      GroupedMean.Group(sum: 2, weight: 1), GroupedMean.Group(sum: 3, weight: 3),
      GroupedMean.Group(sum: 5, weight: 1),
    ]
    // r = 10 / 5 = 2; residuals 0, -3, 3; sqrt(3/2 * 18) / 5.
    let error = try #require(GroupedMean.standardError(of: groups))
    #expect(abs(error - 27.0.squareRoot() / 5) < tolerance)
    #expect(GroupedMean.standardError(of: Array(groups.prefix(1))) == nil)
    #expect(GroupedMean.standardError(of: [.init(), .init()]) == nil)
  }
}
