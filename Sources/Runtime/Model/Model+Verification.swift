extension Model {
  /// The name of the first weight that holds an infinity or NaN, or nil when all are finite.
  ///
  /// - Complexity: Reads all weights: seconds for a large model. Meant for naming the cause when a
  ///   result is not finite.
  public func firstNonFiniteWeight() -> String? {
    matrices.first { !KernelSet.standard.isFinite($0) }?.name
  }

  /// The name of the first weight of the embedding, of some layers and of the head that holds an infinity or
  /// NaN, or nil when all are finite.
  ///
  /// - Complexity: Reads these weights.
  package func firstNonFiniteWeight(inLayers range: Range<Int>) -> String? {
    matrices(inLayers: range).first { !KernelSet.standard.isFinite($0) }?.name
  }

  /// The names of tensors in the checkpoint that this architecture does not use.
  ///
  /// There should be none: they suggest a model of another kind.
  public var unusedTensorNames: [String] {
    var used =
      matrices.map(\.name) + embedding.tensorNames
      + ["model.norm.weight", "\(CompressedFormat.headName).weight"]
    // A bias that the configuration does not have is unused.
    for linear in layers.flatMap(\.linears) {
      if linear.bias != nil { used += linear.names.map { "\($0).bias" } }
      used += linear.compressed?.tensorNames ?? []
    }
    used += head.compressed?.tensorNames ?? []
    if configuration.compression != nil { used += ModelRotations.names(checkpoint) }
    for index in layers.indices {
      used += LayerTensors.norms.map { $0.name(inLayer: index) }
    }
    return checkpoint.names(besides: used)
  }

  /// The dense ones of all matrices: the embedding, those of the layers, the head.
  private var matrices: [DenseMatrix] { matrices(inLayers: layers.indices) }

  /// The dense ones of the matrices of some layers, with the embedding and the head.
  private func matrices(inLayers range: Range<Int>) -> [DenseMatrix] {
    let linears = layers[range].flatMap(\.linears) + [head]
    return (embedding.dense.map { [$0] } ?? []) + linears.flatMap { $0.dense.parts.map(\.matrix) }
  }
}
