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
}
