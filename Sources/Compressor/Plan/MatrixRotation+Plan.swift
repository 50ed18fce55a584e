internal import DuetRuntime

extension MatrixRotation {
  /// The transforms that matrices need under a plan, or nil when it rotates nothing.
  ///
  /// - Throws: `IncoherenceError` for a size without a transform.
  init?(
    linears: [LayerLinears.Linear], _ plan: CompressionPlan, _ algebra: LinearAlgebra
  ) throws(IncoherenceError) {
    if plan.incoherence == .none { return nil }
    var sizes = linears.map(\.inputSize)
    if plan.incoherence == .both { sizes += linears.map(\.outputSize) }
    try self.init(sizes: sizes, seed: plan.seed, .standard, algebra)
  }
}
