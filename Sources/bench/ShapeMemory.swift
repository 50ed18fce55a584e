import DuetSystem

/// The memory that the weights of a shape take.
struct ShapeMemory {
  /// The bytes of a decoder layer.
  let layerByteCount: Int
  /// The bytes of all other tensors.
  let otherByteCount: Int
  let layerCount: Int

  /// The bytes of all weights.
  var byteCount: Int { layerCount * layerByteCount + otherByteCount }

  /// The bytes of memory that are left free for buffers and other programs.
  private static let reserve = 256 << 20

  /// Checks that the shape fits into the memory that is free now.
  ///
  /// - Throws: `BenchError.doesNotFit`, with the number of layers that would fit.
  func check(_ shape: String) throws(BenchError) {
    guard let free = availableByteCount(), byteCount + Self.reserve > free else { return }
    throw .doesNotFit(
      shape: shape, byteCount: byteCount, freeByteCount: free,
      layerCount: max(0, (free - Self.reserve - otherByteCount) / max(layerByteCount, 1)))
  }
}
