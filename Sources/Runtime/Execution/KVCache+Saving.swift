internal import DuetSystem

extension KVCache {
  /// The bytes that `save` writes for `positionCount` positions of `layerCount` layers.
  ///
  /// - Precondition: The cache holds as many positions.
  func savedByteCount(layerCount: Int, positionCount: Int) -> Int {
    let padded = unsafe KeyValueHead.paddedCapacity(positionCount)
    let head =
      (padded + positionCount) * headSize * type.byteCount
      + 2 * positionCount * type.scaleByteCount
    return layerCount * keyValueHeadCount * head
  }

  /// Gives the memory of the first positions to `body`, piece by piece.
  ///
  /// For every layer and key-value head: the keys, in whole blocks of positions; the values; in int8 the scales of the
  /// keys and those of the values.
  func forEachPiece<Failure: Error>(
    layerCount: Int, positionCount: Int,
    _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    precondition(positionCount <= capacity, "\(positionCount) positions of \(capacity)")
    let rowByteCount = headSize * type.byteCount
    let padded = unsafe KeyValueHead.paddedCapacity(positionCount)
    let scaleByteCount = positionCount * MemoryLayout<Float>.stride
    for layer in 0..<layerCount {
      let heads = unsafe heads(layer: layer)
      for index in 0..<keyValueHeadCount {
        let head = unsafe heads[index]
        try unsafe body(
          UnsafeMutableRawBufferPointer(start: head.keys, count: padded * rowByteCount))
        try unsafe body(
          UnsafeMutableRawBufferPointer(start: head.values, count: positionCount * rowByteCount))
        guard type == .int8 else { continue }
        try unsafe body(
          UnsafeMutableRawBufferPointer(start: head.keyScales, count: scaleByteCount))
        try unsafe body(
          UnsafeMutableRawBufferPointer(start: head.valueScales, count: scaleByteCount))
      }
    }
  }

  /// Appends the first positions to a file.
  func save(
    layerCount: Int, positionCount: Int, to file: inout SealedFileWriter
  ) throws(FileError) {
    try unsafe forEachPiece(layerCount: layerCount, positionCount: positionCount) {
      piece throws(FileError) in
      try unsafe file.append(RawSpan(_unsafeBytes: piece))
    }
  }

  /// Sets the first positions to what was saved.
  ///
  /// - Parameters:
  ///   - layerCount: The number of layers.
  ///   - positionCount: The number of positions that were saved.
  ///   - bytes: `savedByteCount` bytes.
  func restore(layerCount: Int, positionCount: Int, from bytes: RawSpan) {
    precondition(
      bytes.byteCount == savedByteCount(layerCount: layerCount, positionCount: positionCount),
      "\(bytes.byteCount) bytes of \(positionCount) positions")
    var start = 0
    unsafe forEachPiece(layerCount: layerCount, positionCount: positionCount) { piece in
      unsafe bytes.extracting(start..<start + piece.count).withUnsafeBytes { source in
        unsafe piece.copyMemory(from: source)
      }
      start += piece.count
    }
  }
}
