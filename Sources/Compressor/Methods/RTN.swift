internal import DuetRuntime

/// Q alone, every weight rounded to the nearest value: RTN.
///
/// Minimises |W - Q|, without regard to activations.
public struct RTN: CompressionMethod {
  /// "rtn".
  public static let name = "rtn"
  /// What the method does, for help texts.
  public static let summary = "Q alone, each weight rounded to the nearest value"

  /// How Q is stored and rounded.
  public var rounding: QuantizationOptions

  /// The method with the values that are given.
  public init(reading choices: inout MethodChoices) {
    rounding = QuantizationOptions(reading: &choices)
  }

  /// The values of its options.
  public var choices: MethodChoices { MethodChoices(rounding) }
  /// `rounding`.
  public var quantization: QuantizationOptions? { rounding }

  /// Every weight as it is, also of inputs that are always zero on the samples.
  public var needs: MethodNeeds {
    var needs = MethodNeeds()
    needs.keepsUnseenWeights = true
    return needs
  }

  /// Zero, because rounding to nearest is counted for every matrix already.
  public func operations(_ shape: MatrixShape) -> Double { 0 }

  /// Rounds to nearest.
  public func decompose(
    _ problem: borrowing WeightProblem, _ metric: borrowing Metric, rank: Int,
    _ algebra: LinearAlgebra
  ) throws(LinearAlgebraError) -> Decomposition {
    let quantized = rounding.nearest(to: problem, algebra)
    let error = algebra.squaredError(of: quantized, problem, metric)
    return Decomposition(quantized: quantized, factors: problem.noFactors, error: error)
  }
}
