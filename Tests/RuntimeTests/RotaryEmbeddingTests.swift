import DuetRuntime
import Testing

@Suite("RoPE")
struct RotaryEmbeddingTests {
  private func ratios(headSize: Int, _ scaling: Configuration.RotaryScaling) -> [Double] {
    var configuration = Configuration(
      hiddenSize: 4 * headSize, intermediateSize: 8, layerCount: 1, headCount: 4,
      headSize: headSize, vocabularySize: 8, rotaryBase: 500_000)
    let plain = RotaryEmbedding(configuration).frequencies
    configuration.rotaryScaling = scaling
    return zip(plain, RotaryEmbedding(configuration).frequencies).map { $0 / $1 }
  }

  // Published ratios with eight significant digits: half a unit in the last is 5e-8 relative.
  private func expectEqual(_ actual: [Double], _ expected: [Double]) {
    #expect(actual.count == expected.count)
    for (one, other) in zip(actual, expected) { #expect(abs(one - other) <= 1e-7 * other) }
  }

  @Test("frequencies are scaled as in Llama 3.2")
  func scalesAsLlama32Does() {
    let scaling = Configuration.RotaryScaling.llama3(
      factor: 32, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContextLength: 8192)
    expectEqual(
      ratios(headSize: 64, scaling),
      [Double](repeating: 1, count: 15) + [1.6513292, 3.2922621, 9.666729]
        + [Double](repeating: 32, count: 14))
  }

  @Test("frequencies are scaled as in Llama 3.1")
  func scalesAsLlama31Does() {
    let scaling = Configuration.RotaryScaling.llama3(
      factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContextLength: 8192)
    expectEqual(
      ratios(headSize: 128, scaling),
      [Double](repeating: 1, count: 29)
        + [1.2074839, 1.5534146, 2.0263132, 2.6945297, 3.6842525, 5.2573266]
        + [Double](repeating: 8, count: 29))
  }

  @Test("linear scaling divides all frequencies")
  func linearScalingDividesAll() {
    expectEqual(ratios(headSize: 16, .linear(factor: 3)), [Double](repeating: 3, count: 8))
  }

  @Test("frequencies fall from 1")
  func frequenciesFallFromOne() {
    let configuration = Configuration(
      hiddenSize: 16, intermediateSize: 8, layerCount: 1, headCount: 2, vocabularySize: 8)
    let frequencies = RotaryEmbedding(configuration).frequencies
    // 10000^(-2 i / 8) for i = 0 ... 3.
    expectEqual(frequencies, [1, 0.1, 0.01, 0.001])
  }
}
