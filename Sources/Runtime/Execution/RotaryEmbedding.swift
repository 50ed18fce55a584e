package import DuetSystem

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// The angles by which queries and keys are rotated at each position.
///
/// Pair i of a head is rotated by position * frequency[i], frequency[i] = rotaryBase^(-2 i / headSize),
/// unless the configuration scales the frequencies. With YaRN, cosines and sines are multiplied by a
/// factor too.
///
/// Accuracy: angles, cosines and sines in Double, stored as Float.
///
/// Source: Su et al., RoFormer, arXiv:2104.09864, section 3.2.2; the scalings as in Hugging Face
/// configurations (`rope_type` "linear", "llama3" and "yarn"); Peng et al., YaRN, arXiv:2309.00071.
package struct RotaryEmbedding: Sendable {
  /// The angle of each pair per position, (headSize / 2), in radians.
  package let frequencies: [Double]

  /// The factor of all cosines and sines.
  private let magnitude: Double

  /// The frequencies of a configuration.
  package init(_ configuration: Configuration) {
    let headSize = Double(configuration.headSize)
    let plain = (0..<configuration.headSize / 2).map { index in
      pow(configuration.rotaryBase, -2 * Double(index) / headSize)
    }
    var magnitude = 1.0
    switch configuration.rotaryScaling {
    case .none: frequencies = plain
    case .linear(let factor): frequencies = plain.map { $0 / factor }
    case .llama3(let factor, let low, let high, let length):
      frequencies = plain.map {
        Self.interpolated($0, factor, low: low, high: high, length: Double(length))
      }
    case .yarn(let factor, let attention, let fast, let slow, let length, let rounds):
      /// The pair, not a whole number, whose angle turns `turns` times in `length` tokens.
      func pair(_ turns: Double) -> Double {
        headSize * log(Double(length) / (turns * 2 * .pi)) / (2 * log(configuration.rotaryBase))
      }
      let bounds =
        rounds ? (pair(fast).rounded(.down), pair(slow).rounded(.up)) : (pair(fast), pair(slow))
      let (first, last) = (max(bounds.0, 0), min(bounds.1, headSize - 1))
      let width = first == last ? 0.001 : last - first
      frequencies = plain.enumerated().map { index, frequency in
        let share = min(max((Double(index) - first) / width, 0), 1)
        return frequency / factor * share + frequency * (1 - share)
      }
      magnitude = attention
    }
    self.magnitude = magnitude
  }

  /// One frequency with the scaling "llama3".
  ///
  /// With the wavelength w = 2 pi / frequency and the original context length L: unchanged when
  /// w < L / high, divided by the factor when w > L / low, and between them
  /// frequency * ((1 - s) / factor + s) with s = (L / w - low) / (high - low).
  private static func interpolated(
    _ frequency: Double, _ factor: Double, low: Double, high: Double, length: Double
  ) -> Double {
    let wavelength = 2 * Double.pi / frequency
    if wavelength < length / high { return frequency }
    if wavelength > length / low { return frequency / factor }
    let share = (length / wavelength - low) / (high - low)
    return frequency * ((1 - share) / factor + share)
  }

  /// Writes the cosines and sines of `count` positions from `position` on.
  ///
  /// - Parameters:
  ///   - position: The first position, in tokens.
  ///   - count: The number of positions.
  ///   - table: (count, headSize): for each position headSize / 2 cosines, then as many sines.
  ///   - firstRow: The row of `table` to begin with.
  /// - Complexity: O(count * headSize).
  package func fill(
    from position: Int, count: Int, _ table: inout Buffer<Float>, firstRow: Int = 0
  ) {
    let half = frequencies.count
    for index in 0..<count {
      let row = (firstRow + index) * 2 * half
      for (pair, frequency) in frequencies.enumerated() {
        let angle = Double(position + index) * frequency
        table[row + pair] = Float(magnitude * cos(angle))
        table[row + half + pair] = Float(magnitude * sin(angle))
      }
    }
  }
}
