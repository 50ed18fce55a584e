/// A set of Unicode scalars, as ranges of their values.
package struct ScalarSet: Hashable, Sendable {
  /// The ranges in increasing order; neither overlapping nor adjacent.
  package let ranges: [ClosedRange<UInt32>]

  static let lastValue: UInt32 = 0x10FFFF

  /// No scalar.
  static let none = ScalarSet([])
  /// Every scalar.
  static let all = ScalarSet([0...lastValue])

  /// The union of ranges in any order.
  ///
  /// - Complexity: O(n log n) for n ranges.
  package init(_ ranges: [ClosedRange<UInt32>]) {
    var result: [ClosedRange<UInt32>] = []
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let last = result.last, range.lowerBound <= last.upperBound + 1 {
        if range.upperBound > last.upperBound {
          result[result.count - 1] = last.lowerBound...range.upperBound
        }
      } else {
        result.append(range)
      }
    }
    self.ranges = result
  }

  /// The single scalars of `text`.
  init(_ text: String) { self.init(text.unicodeScalars.map { $0.value...$0.value }) }

  /// The scalar of the given value.
  init(_ value: UInt32) { self.init([value...value]) }

  /// The scalars that are not in the set.
  var inverted: ScalarSet {
    var result: [ClosedRange<UInt32>] = []
    var next: UInt32 = 0
    for range in ranges {
      if range.lowerBound > next { result.append(next...range.lowerBound - 1) }
      next = range.upperBound + 1
    }
    if next <= Self.lastValue { result.append(next...Self.lastValue) }
    return ScalarSet(result)
  }

  func union(_ other: ScalarSet) -> ScalarSet { ScalarSet(ranges + other.ranges) }

  func intersection(_ other: ScalarSet) -> ScalarSet {
    inverted.union(other.inverted).inverted
  }

  func subtracting(_ other: ScalarSet) -> ScalarSet { intersection(other.inverted) }

  /// Whether the scalar of the given value is in the set.
  ///
  /// - Complexity: O(log n) for n ranges.
  package func contains(_ value: UInt32) -> Bool {
    var low = 0
    var high = ranges.count
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].upperBound < value { low = middle + 1 } else { high = middle }
    }
    return low < ranges.count && ranges[low].lowerBound <= value
  }
}
