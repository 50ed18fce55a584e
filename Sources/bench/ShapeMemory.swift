import DuetSystem

/// What the weights of a shape take in memory.
struct ShapeMemory {
  /// The bytes of a decoder layer.
  let layerByteCount: Int
  /// The bytes of everything else.
  let otherByteCount: Int
  let layerCount: Int

  /// The bytes of all weights.
  var byteCount: Int { layerCount * layerByteCount + otherByteCount }

  /// The memory of the machine that is left to the rest, for buffers and other programs.
  private static let reserve = 256 << 20

  /// Refuses a shape that does not fit into the memory that is free now.
  ///
  /// - Throws: `BenchError.doesNotFit`, with the number of layers that do.
  func check(_ shape: String) throws(BenchError) {
    guard let free = availableByteCount(), byteCount + Self.reserve > free else { return }
    throw .doesNotFit(
      shape: shape, byteCount: byteCount, freeByteCount: free,
      layerCount: max(0, (free - Self.reserve - otherByteCount) / max(layerByteCount, 1)))
  }
}
