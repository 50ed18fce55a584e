package import DuetSystem

/// The optimiser Adam, whose numbers and moments are in three buffers of one size.
///
///     m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
///     x = x - rate m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + e)
///
/// with g the derivative, t the number of the step from 1, b1 = 0.9, b2 = 0.95 and e = 1e-12. The derivatives are
/// those of a mean over tokens and can be very small, so e is too.
///
/// Source: Kingma and Ba, arXiv:1412.6980, algorithm 1; b2 as is usual for language models.
package enum Adam {
  private static let firstDecay: Float = 0.9
  private static let secondDecay: Float = 0.95
  private static let epsilon: Float = 1e-12

  /// Takes a step.
  ///
  /// - Parameters:
  ///   - number: t, from 1.
  ///   - rate: The rate of the step.
  ///   - gradient: g.
  ///   - numbers: x.
  ///   - first: m.
  ///   - second: v.
  package static func step(
    _ number: Int, rate: Float, gradient: borrowing Buffer<Float>, _ numbers: inout Buffer<Float>,
    _ first: inout Buffer<Float>, _ second: inout Buffer<Float>
  ) {
    let firstShare = 1 - Float.power(firstDecay, number)
    let secondShare = 1 - Float.power(secondDecay, number)
    for index in 0..<numbers.count {
      let g = gradient[index]
      first[index] = firstDecay * first[index] + (1 - firstDecay) * g
      second[index] = secondDecay * second[index] + (1 - secondDecay) * g * g
      let size = (second[index] / secondShare).squareRoot() + epsilon
      numbers[index] -= rate * (first[index] / firstShare) / size
    }
  }
}

extension Float {
  /// base^exponent for a whole exponent, by repeated multiplication in Double, the same on every machine.
  fileprivate static func power(_ base: Float, _ exponent: Int) -> Float {
    var result = 1.0
    for _ in 0..<exponent { result *= Double(base) }
    return Float(result)
  }
}
