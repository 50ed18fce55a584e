internal import DuetSystem

extension StoredTensor {
  /// The type, the shape, and a SHA-256 digest of some of the bytes.
  ///
  /// The digest covers sixteen pieces of 4 KiB, among them the first and the last bytes, or all bytes of
  /// a smaller tensor.
  ///
  /// - Complexity: At most 64 KiB are read.
  package var summary: String {
    let shape = shape.map(String.init).joined(separator: ", ")
    return "\(elementType.rawValue) (\(shape)) \(sampledDigest)"
  }

  private var sampledDigest: String {
    let (pieceBytes, pieceCount) = (4096, 16)
    let bytes = bytes
    var hash = SHA256()
    if bytes.byteCount <= pieceBytes * pieceCount {
      hash.update(bytes)
    } else {
      let last = bytes.byteCount - pieceBytes
      for piece in 0..<pieceCount {
        // In this order the product does not overflow for any tensor that fits in memory.
        let start = last / (pieceCount - 1) * piece + last % (pieceCount - 1) * piece / 15
        hash.update(bytes.extracting(start..<start + pieceBytes))
      }
    }
    return SHA256.hexadecimal(hash.finalized())
  }
}
