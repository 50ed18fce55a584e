package import Kernels

/// Activations in int8, with a scale per token and group of 128: what packed matrices multiply.
///
/// The memory is allocated once for a number of tokens and filled again and again by
/// `ExecutionContext.quantize`. Several vectors of a token may stand one after the other, each padded to
/// whole groups: `segments` are their sizes.
///
/// Layout and arithmetic: `kernels_activations` in PackedFormats.h.
@safe
package struct QuantizedActivations: ~Copyable {
  /// The most tokens there is room for.
  package let tokenCapacity: Int
  /// The sizes of the vectors of a token.
  package private(set) var segments: [Int]
  /// The tokens it holds now.
  package internal(set) var tokenCount = 0

  /// The first group of each segment, and behind the last the number of all groups.
  private var firstGroups: [Int]
  /// The groups there is room for, of all tokens.
  private let groupCapacity: Int
  private let values: Buffer<Int8>
  private let latticeValues: Buffer<Int8>
  private let scales: Buffer<Float>
  private let sums: Buffer<Int32>

  /// Room for `tokenCapacity` tokens of vectors of sizes `segments`.
  ///
  /// - Parameters:
  ///   - tokenCapacity: Tokens that are multiplied together.
  ///   - segments: The sizes of a token's vectors.
  ///   - inLatticeOrder: Whether e8p matrices are to read them too.
  package init(tokenCapacity: Int, segments: [Int], inLatticeOrder: Bool) {
    precondition(tokenCapacity > 0, "room for \(tokenCapacity) tokens")
    self.tokenCapacity = tokenCapacity
    self.segments = segments
    let group = Int(KERNELS_ACTIVATION_GROUP)
    firstGroups = Self.firstGroups(segments)
    let groupCount = firstGroups[segments.count] * tokenCapacity
    groupCapacity = groupCount
    values = Buffer(count: groupCount * group)
    latticeValues = Buffer(count: inLatticeOrder ? groupCount * group : 0)
    scales = Buffer(count: groupCount)
    sums = Buffer(count: groupCount * group / Int(KERNELS_SUM_COLUMNS))
  }

  private static func firstGroups(_ segments: [Int]) -> [Int] {
    let group = Int(KERNELS_ACTIVATION_GROUP)
    return segments.reduce(into: [0]) { groups, size in
      groups.append(groups[groups.count - 1] + (size + group - 1) / group)
    }
  }

  /// Makes room for vectors of other sizes in the same memory; what it holds is lost.
  ///
  /// - Precondition: They take no more groups for `tokenCapacity` tokens than the first ones.
  package mutating func reshape(_ segments: [Int]) {
    if segments == self.segments { return }
    let firstGroups = Self.firstGroups(segments)
    precondition(
      firstGroups[segments.count] * tokenCapacity <= groupCapacity,
      "vectors of \(segments) numbers in \(groupCapacity) groups for \(tokenCapacity) tokens")
    self.segments = segments
    self.firstGroups = firstGroups
    tokenCount = 0
  }

  /// Whether e8p matrices can read them.
  var hasLatticeOrder: Bool { latticeValues.count > 0 }

  /// Quantises vector `segment` of `token`, `x` of its size.
  ///
  /// Calls for different tokens write different memory and may run at once.
  func fill(
    segment: Int, token: Int, from x: UnsafePointer<Float>, _ kernels: UnsafePointer<kernels_set>
  ) {
    let group = Int(KERNELS_ACTIVATION_GROUP)
    let first = firstGroups[segment] * tokenCount
    let place = unsafe values.pointer + (first + token) * group
    unsafe kernels.pointee.quantize_int8(
      x, segments[segment], tokenCount, place, scales.pointer + first + token,
      sums.pointer + first * group / Int(KERNELS_SUM_COLUMNS) + token)
    guard hasLatticeOrder else { return }
    for index in firstGroups[segment]..<firstGroups[segment + 1] {
      let offset = (index * tokenCount + token) * group
      unsafe kernels.pointee.reorder_e8p(
        values.pointer + offset, group, latticeValues.pointer + offset)
    }
  }

  /// The addresses of vector `segment` of all tokens, for matrices of `format`.
  ///
  /// - Precondition: For e8p they were made in its order too.
  @unsafe
  package func kernelsActivations(segment: Int, for format: WeightFormat) -> kernels_activations {
    precondition(format != .e8p || hasLatticeOrder, "activations without the order of e8p")
    let group = Int(KERNELS_ACTIVATION_GROUP)
    let first = firstGroups[segment] * tokenCount
    let codes = unsafe format == .e8p ? latticeValues.pointer : values.pointer
    return unsafe kernels_activations(
      values: codes + first * group, scales: scales.pointer + first,
      sums: sums.pointer + first * group / Int(KERNELS_SUM_COLUMNS), tokens: tokenCount)
  }
}
