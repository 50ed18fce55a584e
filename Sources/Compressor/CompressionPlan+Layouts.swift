public import DuetRuntime

extension CompressionPlan {
  /// Whether the linear layer `name` (without ".weight") stays as it is.
  ///
  /// It does when one of `keptNames` is its whole name or the end of it behind a dot: "down_proj" and
  /// "layers.3.mlp.down_proj" keep "model.layers.3.mlp.down_proj", "own_proj" does not.
  public func keeps(_ name: String) -> Bool {
    keptNames.contains { kept in
      let (name, kept) = (Array(name.utf8), Array(kept.utf8))
      guard !kept.isEmpty, name.count >= kept.count, name.suffix(kept.count).elementsEqual(kept)
      else { return false }
      return name.count == kept.count || name[name.count - kept.count - 1] == UInt8(ascii: ".")
    }
  }

  /// The layout of Q of a matrix (outputSize, inputSize).
  public func quantizedLayout(outputSize: Int, inputSize: Int) -> PackedLayout {
    PackedLayout(format, groupSize: groupSize, outputSize: outputSize, inputSize: inputSize)
  }
}
