import DuetRuntime
import DuetSystem
import DuetText

/// A digest that identifies a model.
enum ModelIdentity {
  /// A SHA-256 over the configuration's file and a summary of every tensor.
  ///
  /// A summary has the name, type, shape and a sample of the bytes of a tensor. Changes between the
  /// sampled bytes are not detected.
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
