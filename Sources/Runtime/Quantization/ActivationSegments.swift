internal import Kernels

/// The sizes of the vectors of a token that are quantised one after the other.
///
/// Each vector is padded to whole groups of 128.
///
/// Made once, when a layer is loaded, because computing a token must not allocate.
package struct ActivationSegments: Sendable {
  /// The sizes of the vectors.
  package let sizes: [Int]
  /// The first group of each vector.
  let firstGroups: [Int]
  /// The sum of the sizes of all vectors.
  let size: Int
  /// The number of groups of all vectors.
  let groupCount: Int

  /// Vectors of `sizes`.
  package init(_ sizes: [Int]) {
    self.sizes = sizes
    size = sizes.reduce(0, +)
    var group = 0
    firstGroups = sizes.map { size in
      defer { group += Self.groupCount(size) }
      return group
    }
    groupCount = group
  }

  /// The number of groups of a vector of `size` numbers.
  static func groupCount(_ size: Int) -> Int {
    let group = Int(KERNELS_ACTIVATION_GROUP)
    return (size + group - 1) / group
  }
}
