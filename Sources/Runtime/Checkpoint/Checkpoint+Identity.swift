internal import DuetSystem
internal import DuetText

extension Checkpoint {
  /// A SHA-256 over the configuration's file and a summary of every tensor, which identifies the model.
  ///
  /// A summary has the name, type, shape and a sample of the bytes of a tensor. Changes between the sampled bytes are not
  /// detected.
  ///
  /// - Returns: The digest in hexadecimal.
  /// - Throws: `FileError` or `CheckpointError` when a file cannot be read.
  /// - Complexity: O(tensors); at most 64 KiB of each are read.
  package func identity() throws -> String {
    var hash = SHA256()
    let configuration = try readFile(
      "\(folder)/config.json", limit: JSONLimits.smallFile.byteCount)
    hash.update(configuration.span)
    for name in names {
      guard let tensor = try tensor(named: name) else { continue }
      hash.update(Array("\n\(name) \(tensor.summary)".utf8).span)
    }
    return SHA256.hexadecimal(hash.finalized())
  }
}
