import DuetRuntime
import DuetSystem
import Kernels

/// The kernel calls of one token of a model, on one thread; their time is a lower limit for a token.
///
/// Every call has a matrix of the model, or buffers of the right size. Calls of one kind of kernel are
/// made one after the other, so that a small model stays in the cache as in a real run.
struct TokenKernels {
  /// The calls of a token by kind of kernel.
  private let kinds: [[() -> Void]]

  /// Makes the calls of a token that sees `keyCount` positions, including its own.
  init(_ model: Model, _ kernelSet: KernelSet, keyCount: Int) {
    let linears = model.layers.flatMap(\.linears) + [model.head]
    let numbers = NumberKernels(model.configuration, kernelSet, keyCount: keyCount)
    let pool = WorkerPool(threadCount: 1)
    let contexts = linears.compactMap(\.packed).map { packed in
      Self.quantizing(packed, kernelSet)
    }
    let packed = linears.compactMap(\.packed).flatMap(\.matrices).map { matrix in
      let call = KernelCall.packed(matrix, kernelSet)
      let context = Engine(kernelSet, threadCount: 1)
      return { call.run(context.context) }
    }
    let rotating = linears.flatMap(\.rotations).map { rotation in
      Self.rotating(rotation, kernelSet, pool)
    }
    let dense = linears.flatMap(\.denseMatrices).map { matrix in
      let call = DenseCall(matrix, kernelSet)
      return { call.run() }
    }
    kinds = numbers.kinds + [contexts, packed, rotating, dense]
  }

  /// The seconds that all calls of one token take, measured separately for each kind.
  func measured() -> Double {
    kinds.reduce(0) { sum, calls in
      if calls.isEmpty { return sum }
      var count = 0
      let clock = ContinuousClock()
      let start = clock.now
      // After several milliseconds the time of reading the clock is negligible.
      repeat {
        for call in calls { call() }
        count += 1
      } while start.duration(to: clock.now) < .milliseconds(5)
      return sum + start.duration(to: clock.now) / .seconds(1) / Double(count)
    }
  }

  private static func quantizing(_ linear: PackedLinear, _ kernelSet: KernelSet) -> () -> Void {
    let engine = Engine(kernelSet, threadCount: 1)
    let vectors = QuantizedVectors(linear)
    return { vectors.quantize(engine.context) }
  }

  private static func rotating(
    _ rotation: IncoherenceTransform, _ kernelSet: KernelSet, _ pool: WorkerPool
  ) -> () -> Void {
    let vector = RotatedVector(rotation)
    return { vector.rotate(kernelSet, pool) }
  }
}

/// The buffers to quantise the input of a linear layer and its products with R.
private final class QuantizedVectors {
  private let numbers: Buffer<Float>
  private var inputs: QuantizedActivations
  private var products: QuantizedActivations

  init(_ linear: PackedLinear) {
    let ranks = linear.parts.compactMap { $0.lowRank?.rank }
    numbers = MachineProbe.gaussians(count: max(linear.inputSize, ranks.reduce(0, +)))
    inputs = QuantizedActivations(
      tokenCapacity: 1, segments: [linear.inputSize],
      for: Set(linear.matrices.map(\.format)))
    products = QuantizedActivations(tokenCapacity: 1, segments: ranks, for: [])
  }

  func quantize(_ context: borrowing ExecutionContext) {
    context.quantize(numbers, tokenCount: 1, into: &inputs)
    if !products.segments.sizes.isEmpty {
      context.quantize(numbers, tokenCount: 1, into: &products)
    }
  }
}

/// A vector that is rotated in place; its length does not change.
private final class RotatedVector {
  private let rotation: IncoherenceTransform
  private var numbers: Buffer<Float>
  private var scratch: Buffer<Float>

  init(_ rotation: IncoherenceTransform) {
    self.rotation = rotation
    numbers = MachineProbe.gaussians(count: rotation.size)
    scratch = Buffer(count: rotation.scratchCount(threadCount: 1))
  }

  func rotate(_ kernelSet: KernelSet, _ pool: WorkerPool) {
    rotation.rotate(&numbers, tokenCount: 1, scratch: &scratch, kernelSet, pool)
  }
}
