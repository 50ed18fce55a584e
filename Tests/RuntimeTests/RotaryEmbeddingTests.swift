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

  /// Computed with NumPy in double precision by the formulas of transformers 5.24,
  /// `_compute_yarn_parameters`.
  @Test("frequencies are scaled as in Qwen2.5 with YaRN")
  func scalesAsYaRNDoes() throws {
    var configuration = Configuration(
      hiddenSize: 256, intermediateSize: 8, layerCount: 1, headCount: 2, vocabularySize: 8,
      rotaryBase: 1_000_000)
    let plain = RotaryEmbedding(configuration).frequencies
    configuration.rotaryScaling = .yarn(
      factor: 4, attentionFactor: 1, fastTurns: 32, slowTurns: 1, originalContextLength: 32768,
      roundsBounds: true)
    let between = [
      1.0461538, 1.0967742, 1.1525424, 1.2142857, 1.2830189, 1.36, 1.4468085, 1.5454545, 1.6585366,
      1.7894737, 1.9428571, 2.125, 2.3448276, 2.6153846, 2.9565217, 3.4,
    ]
    expectEqual(
      zip(plain, RotaryEmbedding(configuration).frequencies).map { $0 / $1 },
      [Double](repeating: 1, count: 24) + between + [Double](repeating: 4, count: 24))
  }

  @Test("the bounds of YaRN need not be rounded")
  func boundsNeedNotBeRounded() {
    let configuration = Configuration(
      hiddenSize: 32, intermediateSize: 8, layerCount: 1, headCount: 2, vocabularySize: 8,
      rotaryScaling: .yarn(
        factor: 8, attentionFactor: 1, fastTurns: 32, slowTurns: 1, originalContextLength: 256,
        roundsBounds: false))
    expectEqual(
      RotaryEmbedding(configuration).frequencies,
      [
        1, 0.243596405, 0.0479650761, 0.00597613723, 0.00125, 0.000395284708, 0.000125,
        3.95284708e-05,
      ])
  }

  /// Computed with NumPy in double precision by the formulas of transformers 5.24, and equal to what it
  /// computes in single precision up to 8e-8 relative.
  @Test(
    "the bounds of YaRN are kept within the head, and apart",
    arguments: [
      // Pairs -0.99 and 2.02, rounded to -1 and 3; the first bound is then 0.
      (10_000, 64, true, [1, 0.237170825, 0.05, 0.00790569415, 0.0025, 0.000790569415, 0.00025]),
      // Pairs 3.24 and 15.3, of which the last bound is 15.
      (10, 512, true, [1, 0.749894209, 0.562341325, 0.421696503, 0.296463531, 0.207495199]),
      (10, 512, false, [1, 0.749894209, 0.562341325, 0.421696503, 0.301042367, 0.210616693]),
      // Both bounds are 0.
      (10_000, 4, true, [1, 0.0790569415, 0.025, 0.00790569415, 0.0025, 0.000790569415]),
    ] as [(Double, Int, Bool, [Double])])
  func boundsAreKeptWithinTheHead(
    base: Double, length: Int, roundsBounds: Bool, expected: [Double]
  ) {
    let configuration = Configuration(
      hiddenSize: 32, intermediateSize: 8, layerCount: 1, headCount: 2, vocabularySize: 8,
      rotaryBase: base,
      rotaryScaling: .yarn(
        factor: 4, attentionFactor: 1, fastTurns: 32, slowTurns: 1,
        originalContextLength: length, roundsBounds: roundsBounds))
    expectEqual(
      Array(RotaryEmbedding(configuration).frequencies.prefix(expected.count)), expected)
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
