internal import DuetSystem

extension LayerTensors {
  /// Refuses a checkpoint with a tensor in one of its layers that the table does not list.
  ///
  /// Such a tensor takes part in the model's answers, which would be wrong without it. Layers beyond those
  /// of the configuration are left alone, and so are biases that the configuration does not have.
  ///
  /// - Throws: `CheckpointError` naming the first such tensor.
  static func check(_ checkpoint: borrowing Checkpoint) throws(CheckpointError) {
    let known = knownNames(isCompressed: checkpoint.configuration.compression != nil)
    let layerCount = checkpoint.configuration.layerCount
    for tensor in checkpoint.names {
      guard let name = nameInLayer(tensor, layerCount: layerCount), !known.contains(name) else {
        continue
      }
      let path = try checkpoint.tensor(named: tensor)?.file.path ?? checkpoint.folder
      if let row = unsupported.first(where: { $0.name == name }) {
        throw .unsupportedTensor(path: path, tensor: tensor, meaning: row.meaning)
      }
      throw .unknownTensor(path: path, tensor: tensor)
    }
  }

  /// The names of all tensors that a layer can have.
  private static func knownNames(isCompressed: Bool) -> Set<String> {
    let suffixes = [".weight", ".bias"] + (isCompressed ? CompressedWeights.suffixes : [])
    return Set(
      norms.map(\.name) + ignored + matrices.flatMap { row in suffixes.map { row.name + $0 } })
  }

  /// What follows "model.layers.<index>." in the name of a tensor, or nil when it belongs to none of the
  /// model's layers.
  private static func nameInLayer(_ tensor: String, layerCount: Int) -> String? {
    let start = "model.layers.".utf8
    guard tensor.utf8.starts(with: start) else { return nil }
    let parts = tensor.utf8.dropFirst(start.count).split(
      separator: UInt8(ascii: "."), maxSplits: 1, omittingEmptySubsequences: false)
    // "00" is not how the names of layers are written.
    guard parts.count == 2, let index = Int(String(Substring(parts[0]))),
      (0..<layerCount).contains(index), "\(index)".utf8.elementsEqual(parts[0])
    else { return nil }
    return String(Substring(parts[1]))
  }
}
