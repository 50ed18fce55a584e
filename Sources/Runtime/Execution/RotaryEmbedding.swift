internal import DuetSystem

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
/// unless the configuration scales the frequencies.
///
/// Accuracy: angles, cosines and sines in Double, stored as Float.
///
/// Source: Su et al., RoFormer, arXiv:2104.09864, section 3.2.2; the scalings as in Hugging Face
/// configurations (`rope_type` "linear" and "llama3").
package struct RotaryEmbedding: Sendable {
  /// The angle of each pair per position, (headSize / 2), in radians.
  package let frequencies: [Double]

  /// The frequencies of a configuration.
  package init(_ configuration: Configuration) {
    let base = configuration.rotaryBase
    let headSize = Double(configuration.headSize)
    frequencies = (0..<configuration.headSize / 2).map { index in
      let frequency = pow(base, -2 * Double(index) / headSize)
      return Self.scaled(frequency, configuration.rotaryScaling)
    }
  }

  /// One frequency after scaling.
  ///
  /// `linear`: frequency / factor. `llama3`, with the wavelength w = 2 pi / frequency and the original
  /// context length L: unchanged when w < L / high, divided by the factor when w > L / low, and
  /// between them frequency * ((1 - s) / factor + s) with s = (L / w - low) / (high - low).
  private static func scaled(_ frequency: Double, _ scaling: Configuration.RotaryScaling) -> Double
  {
    switch scaling {
    case .none: return frequency
    case .linear(let factor): return frequency / factor
    case .llama3(let factor, let low, let high, let originalContextLength):
      let length = Double(originalContextLength)
      let wavelength = 2 * Double.pi / frequency
      if wavelength < length / high { return frequency }
      if wavelength > length / low { return frequency / factor }
      let share = (length / wavelength - low) / (high - low)
      return frequency * ((1 - share) / factor + share)
    }
  }

  /// Writes the cosines and sines of `count` positions from `position` on.
  ///
  /// - Parameters:
  ///   - position: The first position, in tokens.
  ///   - count: The number of positions.
  ///   - table: (count, headSize): for each position headSize / 2 cosines, then as many sines.
  ///   - firstRow: The row of `table` to begin with.
  /// - Complexity: O(count * headSize).
  func fill(from position: Int, count: Int, _ table: inout Buffer<Float>, firstRow: Int = 0) {
    let half = frequencies.count
    for index in 0..<count {
      let row = (firstRow + index) * 2 * half
      for (pair, frequency) in frequencies.enumerated() {
        let angle = Double(position + index) * frequency
        table[row + pair] = Float(cos(angle))
        table[row + half + pair] = Float(sin(angle))
      }
    }
  }
}
