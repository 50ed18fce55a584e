extension Model {
  /// The name of the first weight that holds an infinity or NaN, or nil when all are finite.
  ///
  /// - Complexity: Reads all weights: seconds for a large model. Meant for the moment when a result is
  ///   not finite and the culprit must be named.
  public func firstNonFiniteWeight() -> String? {
    let linears = layers.flatMap(\.linears) + [head]
    let matrices = [embedding] + linears.flatMap(\.parts)
    return matrices.first { !KernelSet.standard.isFinite($0) }?.name
  }
}
