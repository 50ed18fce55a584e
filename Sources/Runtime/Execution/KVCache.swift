internal import DuetSystem

/// The element type of a `KVCache`.
public enum KVCacheType: String, Sendable, CaseIterable {
  /// Half precision: 11 bits of significand, enough for keys and values, at half the memory.
  case f16
  /// Single precision, the type of the activations.
  case f32

  /// The bytes of one number.
  package var byteCount: Int { self == .f16 ? 2 : 4 }
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
    parts = AttentionParts(configuration, capacity: capacity)
  }

  /// The bytes that keys and values of `capacity` positions take, or nil beyond `Int.max`.
  package static func byteCount(
    _ configuration: Configuration, capacity: Int, type: KVCacheType
  ) -> Int? {
    var result = 2
    for factor in [
      configuration.layerCount, configuration.keyValueHeadCount, capacity, configuration.headSize,
      type.byteCount,
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
    let byteStride = unsafe KeyValueHead.paddedCapacity(capacity) * headSize * type.byteCount
    let offset = layer * keyValueHeadCount * byteStride
    return unsafe KeyValueHeads(
      first: KeyValueHead(
        keys: keys.pointer + offset, values: values.pointer + offset, headSize: headSize,
        type: type),
      byteStride: byteStride)
  }
}
