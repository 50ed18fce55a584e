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

  /// How the matrices of the compressed model are stored.
  public var compressedFormat: CompressedFormat {
    CompressedFormat(
      format: method.hasQuantized ? format : nil, groupSize: groupSize, grid: grid,
      rank: method.hasLowRank ? rank : 0, moduleRanks: moduleRanks, factors: factorStorage,
      incoherence: incoherence)
  }

  /// How L and R are stored.
  public var factorStorage: FactorStorage {
    FactorStorage(factorFormat, blockSize: method.hasQuantized ? nil : factorBlockSize)
  }

  /// A matrix of zeros on the grid of Q.
  package func emptyQuantized(outputSize: Int, inputSize: Int) -> QuantizedMatrix {
    QuantizedMatrix(
      PackedLayout(format, groupSize: groupSize, outputSize: outputSize, inputSize: inputSize),
      grid: grid)
  }

  /// The values that the weights of Q can have.
  package var roundingGrid: any RoundingGrid {
    switch (format, grid) {
    case (.e8p, _): LatticeGrid()
    case (_, .asymmetric): AsymmetricGrid(format, fit: scaleFit)
    case (_, .symmetric): IntegerGrid(format, fit: scaleFit)
    }
  }
}
