import DuetRuntime
import DuetSystem

/// The buffers for the input and output of linear layers of one size.
final class LinearStation {
  private let tokenCount: Int
  private let input: Buffer<Float>
  private var activations: QuantizedActivations
  private var scratch: LowRankScratch
  private var output: Buffer<Float>

  /// Makes buffers for `tokenCount` tokens and layers of the size of `linear`.
  init(_ linear: PackedLinear, tokenCount: Int) {
    self.tokenCount = tokenCount
    input = MachineProbe.gaussians(count: tokenCount * linear.inputSize)
    activations = QuantizedActivations(
      tokenCapacity: tokenCount, segments: [linear.inputSize],
      for: Set(linear.matrices.map(\.format)))
    scratch = LowRankScratch(linear, tokenCapacity: tokenCount)
    output = Buffer(count: tokenCount * linear.outputSize)
  }

  /// Quantises the input and multiplies.
  func run(_ linear: PackedLinear, _ context: borrowing ExecutionContext) {
    context.quantize(input, tokenCount: tokenCount, into: &activations)
    context.multiply(linear, activations, scratch: &scratch, into: &output)
  }
}

extension ExecutionContext {
  /// Calls `body` repeatedly for `duration`, and returns the sum of its results per second.
  func rate(for duration: Duration, _ body: () -> Int) -> Double {
    let clock = ContinuousClock()
    let start = clock.now
    var amount = 0
    repeat { amount += body() } while start.duration(to: clock.now) < duration
    return Double(amount) / (start.duration(to: clock.now) / .seconds(1))
  }
}
