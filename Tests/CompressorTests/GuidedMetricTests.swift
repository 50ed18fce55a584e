import DuetCompressor
import DuetRuntime
import DuetSystem
import Foundation
import TestSupport
import Testing

/// `--metric guided`: tokens weighted by the derivatives of the loss.
@Suite("Guided metric")
struct GuidedMetricTests {
  private let algebra = LinearAlgebra(WorkerPool(threadCount: 2))

  @Test("a token's weight is its mean square derivative, divided by the mean of all tokens")
  func weights() throws {
    let fixture = try CompressionFixture()
    let (samples, configuration) = (fixture.samples, fixture.checkpoint.configuration)
    let model = try Model(fixture.checkpoint)
    let (length, total) = (samples.contextLength, samples.sampleCount * samples.contextLength)
    let weights = try TokenWeights(
      fixture.checkpoint, model, samples, algebra, control: LayerCalibration.Control())
    #expect(weights.tokenCount == total && weights.contextLength == length)
    // The sums over the outputs of all matrices on an input, in Double.
    var expected: [LinearInput: [[Double]]] = [:]
    for input in LinearInput.allCases {
      expected[input] = Array(
        repeating: Array(repeating: 0, count: total), count: configuration.layerCount)
    }
    var gradient = try LossGradient<Double>(
      fixture.checkpoint, model, tokenCount: length, algebra)
    for sample in 0..<samples.sampleCount {
      _ = try gradient.run(samples.tokens(of: sample)) { layer, squares, _ in
        for (index, matrix) in LayerTensors.matrices.enumerated() {
          for token in 0..<length {
            expected[matrix.input]?[layer][sample * length + token] +=
              squares[index * length + token] * Double(matrix.outputSize(configuration))
          }
        }
      }
    }
    for input in LinearInput.allCases {
      for layer in 0..<configuration.layerCount {
        let sums = try #require(expected[input]?[layer])
        let mean = sums.reduce(0, +) / Double(total)
        for sample in 0..<samples.sampleCount {
          // Rows of two ones become the roots of the weights.
          var rows = Buffer<Float>(count: 2 * length)
          for index in 0..<2 * length { rows[index] = 1 }
          weights.scale(rows, width: 2, input, layer: layer, sample: sample, algebra)
          for token in 0..<length {
            let weight = Double(rows[2 * token]) * Double(rows[2 * token + 1])
            let other = sums[sample * length + token] / mean
            // Derivatives in Float: some twenty steps with sums of at most 80 terms, each off by 2^-24. A
            // square is off by twice as much.
            let bound = 2 * 20 * 80.0.squareRoot() * 0x1p-24
            #expect(abs(weight - other) < bound * max(other, 1), "\(input), layer \(layer)")
          }
        }
      }
    }
  }

  @Test(
    "a guided run differs from another one, not by threads, memory or interruption",
    arguments: [Propagation.corrected, .compressed, .original])
  func runs(propagation: Propagation) throws {
    let outputs = try TemporaryFolder()
    var fixture = try CompressionFixture()
    fixture.plan.propagation = propagation
    let plain = "\(outputs.path)/plain"
    try fixture.run(to: plain)
    fixture.plan.metric = .guided
    let (one, two) = ("\(outputs.path)/one", "\(outputs.path)/two")
    try fixture.run(to: one)
    try fixture.run(to: two, threadCount: 2, hiddenStatesLimit: 0)
    let result = try CompressionFixture.result(in: one)
    #expect(try CompressionFixture.result(in: two) == result)
    #expect(
      try CompressionFixture.result(in: plain)["model.safetensors"] != result["model.safetensors"])
    let stopped = "\(outputs.path)/stopped"
    let observer = StoppingObserver(afterMatrices: 9)
    #expect(try !fixture.run(to: stopped, observer: observer).isComplete)
    #expect(try fixture.run(to: stopped).isComplete)
    #expect(try CompressionFixture.result(in: stopped) == result)
  }
}
