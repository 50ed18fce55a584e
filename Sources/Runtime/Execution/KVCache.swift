internal import DuetSystem

/// The element type of a `KVCache`.
public enum KVCacheType: String, Sendable, CaseIterable {
  /// Half precision: 11 bits of significand, enough for keys and values, at half the memory.
  case f16
  /// Single precision, the type of the activations.
  case f32
  /// Eight bits with a scale for each head and position, at about a quarter of the memory.
  ///
  /// Queries and keys are rotated by a Hadamard matrix, which divides a large number of a key among
  /// all numbers, so that it does not make the step of the others coarse.
  case int8

  /// The bytes of one number.
  package var byteCount: Int {
    switch self {
    case .f16: 2
    case .f32: 4
    case .int8: 1
    }
  }

  /// The bytes of the scale of a key or a value.
  var scaleByteCount: Int { self == .int8 ? MemoryLayout<Float>.stride : 0 }
}

/// The keys and values of all positions so far, (layer, keyValueHead, position, headSize).
///
/// The order of the numbers of a head is that of `kernels_head`.
///
/// Memory for all positions is reserved at once; a page takes memory only when a position in it is
/// filled.
package struct KVCache: ~Copyable {
  /// The element type.
  package let type: KVCacheType
  /// The largest number of positions.
  package let capacity: Int

  let keyValueHeadCount: Int
  let headSize: Int
  /// The rotated keys, and the values, as bytes.
  private let keys: Buffer<UInt8>
  private let values: Buffer<UInt8>
  /// The scales of keys and values in int8, (layer, keyValueHead, position).
  private let keyScales: Buffer<Float>
  private let valueScales: Buffer<Float>
  /// Memory for the attention of one token to many keys.
  let parts: AttentionParts

  /// An empty cache.
  ///
  /// - Parameters:
  ///   - configuration: The sizes of the layers.
  ///   - layerCount: The number of layers that there is room for.
  ///   - capacity: The largest number of positions.
  ///   - type: The element type.
  /// - Precondition: `capacity` is positive, and the sizes were checked by `byteCount`.
  init(_ configuration: Configuration, layerCount: Int, capacity: Int, type: KVCacheType) {
    self.type = type
    self.capacity = capacity
    keyValueHeadCount = configuration.keyValueHeadCount
    headSize = configuration.headSize
    let padded = unsafe KeyValueHead.paddedCapacity(capacity)
    let byteCount = layerCount * keyValueHeadCount * padded * headSize * type.byteCount
    keys = Buffer(count: byteCount)
    values = unsafe Buffer(count: byteCount + KeyValueHead.paddingCount * type.byteCount)
    let scaleCount = type == .int8 ? layerCount * keyValueHeadCount * padded : 0
    keyScales = Buffer(count: scaleCount)
    valueScales = Buffer(count: scaleCount)
    parts = AttentionParts(configuration, capacity: capacity)
  }

  /// The bytes that keys and values of `capacity` positions take, or nil beyond `Int.max`.
  package static func byteCount(
    _ configuration: Configuration, capacity: Int, type: KVCacheType
  ) -> Int? {
    var result = 2
    let (rowByteCount, overflow) = configuration.headSize.multipliedReportingOverflow(
      by: type.byteCount)
    if overflow || rowByteCount > Int.max - type.scaleByteCount { return nil }
    for factor in [
      configuration.layerCount, configuration.keyValueHeadCount, capacity,
      rowByteCount + type.scaleByteCount,
    ] {
      let (product, overflow) = result.multipliedReportingOverflow(by: factor)
      if overflow { return nil }
      result = product
    }
    return result
  }

  /// The keys and values of the heads of a layer.
  @unsafe
  func heads(layer: Int) -> KeyValueHeads {
    let padded = unsafe KeyValueHead.paddedCapacity(capacity)
    let (byteStride, scaleStride) = (padded * headSize * type.byteCount, type == .int8 ? padded : 0)
    let offset = layer * keyValueHeadCount * byteStride
    let scaleOffset = layer * keyValueHeadCount * scaleStride
    return unsafe KeyValueHeads(
      first: KeyValueHead(
        keys: keys.pointer + offset, values: values.pointer + offset,
        keyScales: keyScales.pointer + scaleOffset, valueScales: valueScales.pointer + scaleOffset,
        headSize: headSize, type: type),
      byteStride: byteStride, scaleStride: scaleStride)
  }

  /// Stores random keys and values at the first positions of all layers.
  func fill(layerCount: Int, positionCount: Int, _ context: borrowing ExecutionContext) {
    // Numbers that repeat at different places of the heads.
    let numbers = Buffer<Float>(count: headSize + 1021)
    var generator = RandomGenerator(seed: 1)
    for index in 0..<numbers.count {
      unsafe numbers.pointer[index] = Float(generator.nextUnit()) * 2 - 1
    }
    context.pool.run(layerCount * keyValueHeadCount) { part, worker in
      let head = unsafe heads(layer: part / keyValueHeadCount)[part % keyValueHeadCount]
      for position in 0..<positionCount {
        let row = unsafe numbers.pointer + (position * 7 + part) % 1021
        unsafe head.store(
          key: row, value: row, at: position, row: context.scratch(of: worker), context.kernels)
      }
    }
  }
}
