internal import Kernels

/// The vectors of a token that stand one after the other as quantised activations, each padded to whole
/// groups of 128.
///
/// Made once, where a layer is loaded: what a token takes must not allocate.
package struct ActivationSegments: Sendable {
  /// The sizes of the vectors.
  package let sizes: [Int]
  /// The first group of each vector.
  let firstGroups: [Int]
  /// The numbers of all vectors.
  let size: Int
  /// The groups of all vectors.
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

  /// The groups of a vector.
  static func groupCount(_ size: Int) -> Int {
    let group = Int(KERNELS_ACTIVATION_GROUP)
    return (size + group - 1) / group
  }
}
