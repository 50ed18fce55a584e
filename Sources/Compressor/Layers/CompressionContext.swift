internal import DuetRuntime

/// What a run compresses, how, and what computes it.
struct CompressionContext {
  /// The model.
  let model: Model
  /// Its tensors.
  let checkpoint: Checkpoint
  /// How it is compressed, with the ranks that were chosen.
  var plan: CompressionPlan
  /// How the run goes.
  let options: CompressorOptions
  /// What computes.
  let algebra: LinearAlgebra
}
