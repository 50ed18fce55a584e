extension Journal {
  /// The compressed matrix called `name`, or nil when it has to be computed; the observer is told of a file that
  /// cannot be used.
  ///
  /// - Throws: `JournalError` when the file is there but cannot be read or removed.
  /// - Complexity: O(bytes): the digest is computed.
  mutating func completed(
    _ name: String, _ observer: some CompressionObserver
  ) throws(JournalError) -> CompressedLinear? {
    let refusedCount = refusedParts.count
    let result = try completed(name)
    if refusedParts.count > refusedCount { observer.refusedPart(of: name) }
    return result
  }
}
