internal import DuetRuntime

/// The model, plan, options and linear algebra of a run.
struct CompressionContext {
  /// The model.
  let model: Model
  /// The tensors of the model.
  let checkpoint: Checkpoint
  /// How the model is compressed, with the ranks that were chosen.
  var plan: CompressionPlan
  /// The options of the run, which do not change its result.
  let options: CompressorOptions
  /// The linear algebra to compute with.
  let algebra: LinearAlgebra
  /// The original model with the embedding of the compressed one, or nil when the two have the same.
  var withCompressedEmbedding: Model?
}

extension CompressionContext {
  /// The weights of a matrix of a layer, (outputSize, inputSize).
  ///
  /// - Throws: `CheckpointError`.
  func weight(of linear: LayerLinears.Linear) throws(CheckpointError) -> Matrix<Float> {
    try weight(named: linear.name, linear.outputSize, linear.inputSize)
  }

  /// The weights of a matrix, (rows, columns).
  ///
  /// - Throws: `CheckpointError`.
  func weight(
    named name: String, _ rows: Int, _ columns: Int
  ) throws(CheckpointError) -> Matrix<Float> {
    let tensor = try checkpoint.tensor(named: "\(name).weight", shape: [rows, columns])
    return Matrix(widening: tensor, rowCount: rows, columnCount: columns)
  }

  /// The original model with a compressed embedding.
  ///
  /// - Throws: `CheckpointError`.
  func model(with embedding: CompressedLinear) throws(CheckpointError) -> Model {
    var configuration = checkpoint.configuration
    configuration.compression = plan.compressedFormat
    let replaced = Set(embedding.replacedNames(in: checkpoint))
    var tensors = embedding.tensors
    for name in checkpoint.names where !replaced.contains(name) {
      if let tensor = try checkpoint.tensor(named: name) { tensors.append(tensor) }
    }
    return try Model(
      Checkpoint(configuration: configuration, tensors: tensors, folder: checkpoint.folder))
  }
}
