package import DuetRuntime

/// A weight matrix as Q + L R, or one of both alone, in the basis and scale of its `WeightProblem`.
package struct Decomposition: ~Copyable {
  /// Q, or nil when all of the matrix is L R.
  package var quantized: QuantizedMatrix?
  /// L and R.
  package var factors: StoredFactors
  /// tr((W - Q - L R) H (W - Q - L R)^T) in the metric that was minimised.
  package var error: Double
  /// What the low-rank part started from.
  package var initialization: CompressionPlan.Initialization
  /// The same error after every half step whose result can be stored, in order.
  package var trace: [Double]

  /// W - Q - L R.
  package borrowing func residual(
    of weight: borrowing Matrix<Float>, _ algebra: LinearAlgebra
  ) -> Matrix<Float> {
    var result = factors.product.subtracted(from: weight, algebra)
    switch quantized {
    case .none: break
    case .some(let quantized): algebra.add(quantized.values, scale: -1, to: &result)
    }
    return result
  }
}
