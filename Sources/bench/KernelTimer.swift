import DuetCommandLine
import DuetRuntime
import DuetText

/// A kernel set and a team of threads that run both the kernels and their limits.
final class Engine {
  let context: ExecutionContext

  init(_ kernelSet: KernelSet, threadCount: Int) {
    context = ExecutionContext(kernelSet: kernelSet, threadCount: threadCount)
  }

  var setName: String { context.kernelSet.name }
  var threadCount: Int { context.pool.threadCount }
  /// Whether the kernels are the best that this processor can run; only these have bars.
  var isBest: Bool { setName == KernelSet.supported.first?.name }

  /// Whether the kernels are the portable reference.
  ///
  /// They take a hundred times as long, so their cases are smaller.
  var isPortable: Bool { setName == "portable" }

  /// The time for which a limit is measured before and after each repeat.
  private static let probeDuration = Duration.milliseconds(20)

  /// The limit of the peak dot product, for a call of `operationCount` operations.
  func peak(_ operationCount: Int) -> KernelLimit {
    KernelLimit(limit: .dotProduct, amount: operationCount) {
      MachineProbe.multiplicationPeak(self.context, for: Self.probeDuration)
    }
  }

  /// The limit of the read loop `read`, for a call that reads `byteCount` bytes.
  func reading(_ byteCount: Int, _ read: @escaping () -> Int) -> KernelLimit {
    KernelLimit(limit: .reading, amount: byteCount) {
      self.context.rate(for: Self.probeDuration, read)
    }
  }
}

/// A limit, and the amount of work of one call of a kernel.
struct KernelLimit {
  let limit: Limit
  /// The bytes or operations of a call, as in the unit of the limit.
  let amount: Int
  /// Measures the limit once.
  let rate: () -> Double
}

/// A timer of kernel calls that measures their limits before and after.
struct KernelTimer {
  let repeats: Int

  /// The shortest repeat in seconds.
  ///
  /// It is far longer than the microsecond that reading the clock or a late thread takes.
  private static let shortestRepeat = 0.005

  /// Times `body`.
  ///
  /// `byteCount` is the number of bytes that a call moves, `operationCount` its number of additions
  /// and multiplications. `limits` are measured before and after every repeat. `details` are added to
  /// the JSON document.
  func row(
    _ kernel: String, _ shape: String, _ engine: Engine, byteCount: Int, operationCount: Int,
    details: [JSONOutput.Member] = [], limits: [KernelLimit], _ body: () -> Void
  ) -> KernelRow {
    body()
    let callCount = max(1, Int(Self.shortestRepeat / measure(body)))
    var pairs = limits.map { PairedRuns($0.limit, before: $0.rate()) }
    var times: [Double] = []
    for _ in 0..<repeats {
      let seconds = measure { for _ in 0..<callCount { body() } } / Double(callCount)
      times.append(seconds)
      for (index, limit) in limits.enumerated() {
        pairs[index].append(Double(limit.amount) / seconds, limitAfter: limit.rate())
      }
    }
    return KernelRow(
      kernel: kernel, set: engine.setName, shape: shape, details: details,
      threadCount: engine.threadCount, byteCount: byteCount, operationCount: operationCount,
      warmUpCount: 2, callCount: callCount, seconds: times, pairs: pairs)
  }
}
