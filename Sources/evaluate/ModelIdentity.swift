import DuetRuntime
import DuetSystem
import DuetText

/// What runs on the same weights have in common.
enum ModelIdentity {
  /// A SHA-256 over the configuration's file and, of every tensor, its name, type, shape and a sample of
  /// its bytes; what is changed between the sampled pieces of a tensor goes unnoticed.
  ///
  /// - Throws: `FileError` or `CheckpointError` when a file cannot be read.
  /// - Complexity: O(tensors); at most 64 KiB of each are read.
  static func digest(of checkpoint: Checkpoint) throws -> String {
    var hash = SHA256()
    let configuration = try readFile(
      "\(checkpoint.folder)/config.json", limit: JSONLimits.smallFile.byteCount)
    hash.update(configuration.span)
    for name in checkpoint.names {
      guard let tensor = try checkpoint.tensor(named: name) else { continue }
      hash.update(Array("\n\(name) \(tensor.summary)".utf8).span)
    }
    return SHA256.hexadecimal(hash.finalized())
  }
}
