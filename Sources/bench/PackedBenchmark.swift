import DuetRuntime

/// Measures the packed linear layers of a shape: no norms, no rotation, no attention.
struct PackedBenchmark {
  let layers: RandomPackedLayers
  let kernelSet: KernelSet
  let threadCount: Int
  let repeats: Int

  /// The shortest run that is compared with a limit: a scheduler's tick should not show in it.
  private static let shortestRun = 0.1

  /// Tokens one after the other through all layers and the head, the plain read loop over the same
  /// bytes between any two runs of a tenth of a second or one token.
  func generation(tokenCount: Int) -> Measurement {
    let context = ExecutionContext(kernelSet: kernelSet, threadCount: threadCount)
    let stations = LinearStations(layers, tokenCount: 1)
    let matrices = layers.matrices
    func token() {
      for layer in layers.layers { stations.run(layer, context) }
      stations.runHead(layers.head, context)
    }
    token()
    let tokensPerRun = max(1, min(tokenCount, Int(Self.shortestRun / measure(token))))
    var speeds: [Double] = []
    var pairs = PairedRuns(.reading, before: context.readRate(of: matrices))
    for _ in 0..<repeats {
      var total = 0.0
      for first in stride(from: 0, to: tokenCount, by: tokensPerRun) {
        let count = min(tokensPerRun, tokenCount - first)
        let duration = measure { for _ in 0..<count { token() } }
        pairs.append(
          Double(count * layers.byteCount) / duration, limitAfter: context.readRate(of: matrices))
        total += duration
      }
      speeds.append(Double(tokenCount) / total)
    }
    return Measurement(
      test: "tg\(tokenCount)", threadCount: context.pool.threadCount, speeds: speeds, pairs: pairs)
  }

  /// A whole prompt through all layers and its last token through the head, the peak of the dot product
  /// measured between any two runs of a few layers.
  func prompt(tokenCount: Int) -> Measurement {
    let context = ExecutionContext(kernelSet: kernelSet, threadCount: threadCount)
    let stations = LinearStations(layers, tokenCount: tokenCount)
    stations.run(layers.layers[0], context)
    stations.runHead(layers.head, context)
    let headOperations = 2 * Double(layers.head.multiplicationCount)
    var speeds: [Double] = []
    var pairs = PairedRuns(.dotProduct, before: context.multiplicationPeak)
    for _ in 0..<repeats {
      var total = 0.0
      var rest = layers.layers[...]
      while !rest.isEmpty {
        var (duration, operations) = (0.0, 0.0)
        while duration < Self.shortestRun, let layer = rest.popFirst() {
          duration += measure {
            stations.run(layer, context)
            if rest.isEmpty { stations.runHead(layers.head, context) }
          }
          let multiplications = layer.reduce(0) { $0 + $1.multiplicationCount }
          operations += 2 * Double(multiplications) * Double(tokenCount)
        }
        if rest.isEmpty { operations += headOperations }
        pairs.append(operations / duration, limitAfter: context.multiplicationPeak)
        total += duration
      }
      speeds.append(Double(tokenCount) / total)
    }
    return Measurement(
      test: "pp\(tokenCount)", threadCount: context.pool.threadCount, speeds: speeds, pairs: pairs)
  }
}

extension ExecutionContext {
  /// Bytes per second of a plain read of `matrices`, read often enough to be measured.
  func readRate(of matrices: [PackedMatrix], for duration: Duration = .milliseconds(50)) -> Double {
    rate(for: duration) { MachineProbe.read(matrices, self).byteCount }
  }

  /// The peak of the dot product, in operations per second.
  var multiplicationPeak: Double {
    MachineProbe.multiplicationPeak(self, for: .milliseconds(50))
  }

  /// The sum of what `body` returns, per second, when it is called again and again for `duration`.
  func rate(for duration: Duration, _ body: () -> Int) -> Double {
    let clock = ContinuousClock()
    let start = clock.now
    var amount = 0
    repeat { amount += body() } while start.duration(to: clock.now) < duration
    return Double(amount) / seconds(start.duration(to: clock.now))
  }
}

/// The inputs and outputs of all linear layers of a shape; layers of the same place share them.
private struct LinearStations {
  private let stations: [LinearStation]
  private let head: LinearStation

  /// Room for `tokenCount` tokens, of which the head multiplies the last alone.
  init(_ layers: RandomPackedLayers, tokenCount: Int) {
    stations = layers.layers[0].map { LinearStation($0, tokenCount: tokenCount) }
    head = LinearStation(layers.head, tokenCount: 1)
  }

  func run(_ layer: [PackedLinear], _ context: borrowing ExecutionContext) {
    for (station, linear) in zip(stations, layer) { station.run(linear, context) }
  }

  func runHead(_ linear: PackedLinear, _ context: borrowing ExecutionContext) {
    head.run(linear, context)
  }
}

/// The input and output of linear layers of one size.
final class LinearStation {
  private let tokenCount: Int
  private let input: Buffer<Float>
  private var activations: QuantizedActivations
  private var scratch: LowRankScratch
  private var output: Buffer<Float>

  /// Room for `tokenCount` tokens through a layer like `linear`.
  init(_ linear: PackedLinear, tokenCount: Int) {
    self.tokenCount = tokenCount
    input = MachineProbe.gaussians(count: tokenCount * linear.inputSize)
    activations = QuantizedActivations(
      tokenCapacity: tokenCount, segments: [linear.inputSize],
      inLatticeOrder: linear.matrices.contains { $0.format == .e8p })
    scratch = LowRankScratch(linear, tokenCapacity: tokenCount)
    output = Buffer(count: tokenCount * linear.outputSize)
  }

  /// Quantises the input and multiplies.
  func run(_ linear: PackedLinear, _ context: borrowing ExecutionContext) {
    context.quantize(input, tokenCount: tokenCount, into: &activations)
    context.multiply(linear, activations, scratch: &scratch, into: &output)
  }
}
