internal import DuetSystem
package import Kernels

/// The activations that packed matrices multiply: int8, with a scale per token and group of 128.
///
/// The memory is allocated once for a number of tokens and filled again and again by
/// `ExecutionContext.quantize`. Several vectors of a token may be stored one after the other, each
/// padded to whole groups.
///
/// Layout and arithmetic: `kernels_activations` in PackedFormats.h.
@safe
package struct QuantizedActivations: ~Copyable {
  /// The most tokens there is room for.
  package let tokenCapacity: Int
  /// The vectors of a token.
  package private(set) var segments: ActivationSegments
  /// The number of tokens it holds now.
  package internal(set) var tokenCount = 0

  /// The groups there is room for, of all tokens.
  private let groupCapacity: Int
  private let values: Buffer<Int8>
  private let latticeValues: Buffer<Int8>
  /// For one token: the sums of activations that trellis codes look up.
  private let tables: Buffer<UInt8>
  private let scales: Buffer<Float>
  private let sums: Buffer<Int32>

  /// Room for `tokenCapacity` tokens of vectors of sizes `segments`.
  ///
  /// - Parameters:
  ///   - tokenCapacity: Tokens that are multiplied together.
  ///   - segments: The sizes of a token's vectors.
  ///   - formats: The formats of the matrices that read them. Integer formats always can.
  package init(tokenCapacity: Int, segments: [Int], for formats: Set<WeightFormat>) {
    precondition(tokenCapacity > 0, "room for \(tokenCapacity) tokens")
    self.tokenCapacity = tokenCapacity
    self.segments = ActivationSegments(segments)
    let group = Int(KERNELS_ACTIVATION_GROUP)
    let groupCount = self.segments.groupCount * tokenCapacity
    groupCapacity = groupCount
    values = Buffer(count: groupCount * group)
    latticeValues = Buffer(count: formats.contains(.e8p) ? groupCount * group : 0)
    tables = Buffer(
      count: formats.contains { $0.coding == .trellis }
        ? self.segments.groupCount * Int(KERNELS_TABLE_BYTES) : 0)
    scales = Buffer(count: groupCount)
    sums = Buffer(count: groupCount * group / Int(KERNELS_SUM_COLUMNS))
  }

  /// Makes room for other vectors in the same memory; its contents are lost.
  ///
  /// - Precondition: They take no more groups for `tokenCapacity` tokens than the first ones.
  /// - Complexity: O(1); no allocation.
  mutating func reshape(_ segments: ActivationSegments) {
    precondition(
      segments.groupCount * tokenCapacity <= groupCapacity,
      "vectors of \(segments.sizes) numbers in \(groupCapacity) groups for \(tokenCapacity) tokens")
    self.segments = segments
    tokenCount = 0
  }

  /// The addresses, valid while this memory lives and keeps its number of tokens.
  @unsafe
  var memory: ActivationMemory {
    unsafe ActivationMemory(
      values: values.pointer, latticeValues: latticeValues.count > 0 ? latticeValues.pointer : nil,
      tables: tables.count > 0 && tokenCount == 1 ? tables.pointer : nil,
      scales: scales.pointer, sums: sums.pointer, tokenCount: tokenCount)
  }

  /// The addresses of vector `segment` of all tokens, for matrices of `format`.
  ///
  /// - Precondition: The format was among those that the memory was made for.
  @unsafe
  package func kernelsActivations(segment: Int, for format: WeightFormat) -> kernels_activations {
    unsafe memory.kernelsActivations(
      firstGroup: segments.firstGroups[segment], for: format.kernelsFormat)
  }
}

/// The addresses of quantised activations, which the threads of a job share.
@unsafe
struct ActivationMemory {
  let values: UnsafeMutablePointer<Int8>
  /// The values in the order of e8p, or nil when no matrix needs them.
  let latticeValues: UnsafeMutablePointer<Int8>?
  /// The tables of trellis codes, or nil when no matrix needs them or there are several tokens.
  let tables: UnsafeMutablePointer<UInt8>?
  let scales: UnsafeMutablePointer<Float>
  let sums: UnsafeMutablePointer<Int32>
  let tokenCount: Int

  /// Quantises a vector of `token`, `size` numbers at `x`, into the groups from `firstGroup` on.
  ///
  /// Calls for different tokens or vectors write different memory and may run at once.
  func fill(
    firstGroup: Int, size: Int, token: Int, from x: UnsafePointer<Float>,
    _ kernels: UnsafePointer<kernels_set>
  ) {
    let group = Int(KERNELS_ACTIVATION_GROUP)
    let first = unsafe firstGroup * tokenCount
    unsafe kernels.pointee.quantize_int8(
      x, size, tokenCount, values + (first + token) * group, scales + first + token,
      sums + first * group / Int(KERNELS_SUM_COLUMNS) + token)
    if let tables = unsafe tables {
      unsafe kernels.pointee.bit_tables(
        values + firstGroup * group, ActivationSegments.groupCount(size) * group,
        tables + firstGroup * Int(KERNELS_TABLE_BYTES))
    }
    guard let latticeValues = unsafe latticeValues else { return }
    for index in firstGroup..<firstGroup + ActivationSegments.groupCount(size) {
      let offset = unsafe (index * tokenCount + token) * group
      unsafe kernels.pointee.reorder_e8p(values + offset, group, latticeValues + offset)
    }
  }

  /// The addresses of the vector from `firstGroup` on, of all tokens, for matrices of `format`.
  func kernelsActivations(firstGroup: Int, for format: kernels_format) -> kernels_activations {
    let group = Int(KERNELS_ACTIVATION_GROUP)
    let first = unsafe firstGroup * tokenCount
    var codes = unsafe values
    if format == KERNELS_E8P {
      guard let latticeValues = unsafe latticeValues else {
        preconditionFailure("activations without the order of e8p")
      }
      unsafe codes = unsafe latticeValues
    }
    return unsafe kernels_activations(
      values: codes + first * group, scales: scales + first,
      sums: sums + first * group / Int(KERNELS_SUM_COLUMNS), tokens: tokenCount,
      tables: tables.map { unsafe UnsafePointer($0) + firstGroup * Int(KERNELS_TABLE_BYTES) })
  }
}
