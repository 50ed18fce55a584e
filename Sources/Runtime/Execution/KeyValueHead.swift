internal import Kernels

/// The addresses of the keys and values of one key-value head, in the layout of `kernels_head`.
@unsafe
struct KeyValueHead {
  /// The rotated keys, in blocks of positions.
  let keys: UnsafeMutableRawPointer
  /// The values, (position, headSize).
  let values: UnsafeMutableRawPointer
  /// The scales of keys and values in int8, by position.
  let keyScales: UnsafeMutablePointer<Float>?
  let valueScales: UnsafeMutablePointer<Float>?
  let headSize: Int
  let type: KVCacheType

  /// The number of positions for which memory must be reserved when there are `capacity`.
  static func paddedCapacity(_ capacity: Int) -> Int {
    let lanes = Int(KERNELS_KEY_LANES)
    return (capacity + lanes - 1) / lanes * lanes
  }

  /// The numbers that kernels may read after the last value.
  static var paddingCount: Int { Int(KERNELS_KEY_LANES) }

  /// The head for the kernels.
  var kernelHead: kernels_head {
    unsafe kernels_head(
      head_size: headSize, keys: keys, values: values, key_scales: keyScales,
      value_scales: valueScales)
  }

  /// Stores the key and the value of a position.
  ///
  /// - Parameters:
  ///   - key: The rotated key, headSize numbers.
  ///   - value: The value, headSize numbers.
  ///   - position: The position, in tokens.
  ///   - row: Memory for headSize numbers.
  ///   - kernels: The kernels that narrow the numbers.
  func store(
    key: UnsafePointer<Float>, value: UnsafePointer<Float>, at position: Int,
    row: UnsafeMutablePointer<Float>, _ kernels: UnsafePointer<kernels_set>
  ) {
    let offset = unsafe position * headSize * type.byteCount
    switch unsafe type {
    case .f16:
      let narrow = unsafe UnsafeMutableRawPointer(row).assumingMemoryBound(to: UInt16.self)
      unsafe kernels.pointee.narrow_f16(key, headSize, narrow)
      unsafe spread(UnsafePointer(narrow), at: position)
      unsafe kernels.pointee.narrow_f16(
        value, headSize, (values + offset).assumingMemoryBound(to: UInt16.self))
    case .f32:
      unsafe spread(key, at: position)
      unsafe (values + offset).assumingMemoryBound(to: Float.self).update(
        from: value, count: headSize)
    case .int8:
      let narrow = unsafe UnsafeMutableRawPointer(row).assumingMemoryBound(to: Int8.self)
      unsafe keyScales?[position] = unsafe kernels.pointee.narrow_int8(key, headSize, narrow)
      unsafe spread(UnsafePointer(narrow), at: position)
      unsafe valueScales?[position] = unsafe kernels.pointee.narrow_int8(
        value, headSize, (values + offset).assumingMemoryBound(to: Int8.self))
    }
  }

  /// Stores the numbers of a key, each in the row of its block of positions.
  private func spread<Element>(_ row: UnsafePointer<Element>, at position: Int) {
    let lanes = Int(KERNELS_KEY_LANES)
    let place = unsafe position / lanes * lanes * headSize + position % lanes
    let target = unsafe keys.assumingMemoryBound(to: Element.self) + place
    for index in unsafe 0..<headSize { unsafe target[index * lanes] = row[index] }
  }
}

/// The keys and values of the heads of a layer.
@unsafe
struct KeyValueHeads {
  /// The first head.
  let first: KeyValueHead
  /// The distance between heads in bytes, of keys and of values.
  let byteStride: Int
  /// The distance between heads in scales.
  var scaleStride = 0

  subscript(head: Int) -> KeyValueHead {
    unsafe KeyValueHead(
      keys: first.keys + head * byteStride, values: first.values + head * byteStride,
      keyScales: first.keyScales.map { unsafe $0 + head * scaleStride },
      valueScales: first.valueScales.map { unsafe $0 + head * scaleStride },
      headSize: first.headSize, type: first.type)
  }
}
