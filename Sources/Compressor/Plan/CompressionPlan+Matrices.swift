public import DuetRuntime

extension CompressionPlan {
  /// Whether the linear layer `name` (without ".weight") stays as it is.
  ///
  /// It does when one of `keptNames` is its whole name or the end of it after a dot: "down_proj" and
  /// "layers.3.mlp.down_proj" keep "model.layers.3.mlp.down_proj", "own_proj" does not.
  public func keeps(_ name: String) -> Bool {
    keptNames.contains { kept in
      let (name, kept) = (Array(name.utf8), Array(kept.utf8))
      guard !kept.isEmpty, name.count >= kept.count, name.suffix(kept.count).elementsEqual(kept)
      else { return false }
      return name.count == kept.count || name[name.count - kept.count - 1] == UInt8(ascii: ".")
    }
  }

  /// The plan for a model, with the format that its embedding gets: nil when the embedding stays as it is.
  ///
  /// A tied embedding stays when it is to be kept under either name.
  func choosingEmbedding(for configuration: Configuration) -> CompressionPlan {
    var plan = self
    let names =
      [CompressedFormat.embeddingName]
      + (configuration.tiesEmbeddings ? [CompressedFormat.headName] : [])
    if names.contains(where: keeps) {
      plan.embeddingFormat = nil
    } else if configuration.tiesEmbeddings {
      plan.embeddingFormat = embeddingFormat ?? .int8
    }
    return plan
  }

  /// How the matrices of the compressed model are stored.
  public var compressedFormat: CompressedFormat {
    let rounding = method.quantization ?? QuantizationOptions()
    let factors = method.lowRank ?? LowRankOptions()
    return CompressedFormat(
      format: method.quantization?.format, groupSize: rounding.groupSize, grid: rounding.gridKind,
      rank: method.lowRank == nil ? 0 : uniformRank ?? factors.rank, moduleRanks: moduleRanks,
      factors: factors.storage, incoherence: incoherence, embedding: embeddingFormat?.storage)
  }

  /// The rank of L R of a matrix, 0 for none.
  ///
  /// It is the rank that was chosen for the matrix, or else the rank of the method, at most the smaller side.
  /// Outlier columns reduce the latter, so that the matrix takes no more bytes than without them.
  public func rank(of name: String = "", outputSize: Int, inputSize: Int) -> Int {
    guard let factors = method.lowRank else { return 0 }
    if let chosen = moduleRanks[name] { return chosen }
    let full = min(uniformRank ?? factors.rank, outputSize, inputSize)
    let columnCount = method.columnCount(inputSize: inputSize)
    if columnCount == 0 { return full }
    func byteCount(_ rank: Int) -> Int {
      factors.storage.byteCount(rank: rank, outputSize: outputSize, inputSize: inputSize)
    }
    let columns = Packing.columnsByteCount(outputSize: outputSize, count: columnCount)
    var result = full
    while result > 0, byteCount(result) + columns > byteCount(full) { result -= 1 }
    return result
  }
}
