import DuetCommandLine
import DuetRuntime
import DuetText

/// A kernel set and a team of threads, which timers and limits share.
final class Engine {
  let context: ExecutionContext

  init(_ kernelSet: KernelSet, threadCount: Int) {
    context = ExecutionContext(kernelSet: kernelSet, threadCount: threadCount)
  }

  var setName: String { context.kernelSet.name }
  var threadCount: Int { context.pool.threadCount }
  /// Whether its kernels are the best that this processor can run, which the bars are about.
  var isBest: Bool { setName == KernelSet.supported.first?.name }

  /// Whether its kernels are those that the others are checked against, which take a hundred times as
  /// long: their cases are smaller.
  var isPortable: Bool { setName == "portable" }

  /// How long a limit is measured, before and after each repeat.
  private static let probeDuration = Duration.milliseconds(20)

  /// The peak of the dot product, which `operationCount` operations are compared with.
  func peak(_ operationCount: Int) -> KernelLimit {
    KernelLimit(limit: .dotProduct, amount: operationCount) {
      MachineProbe.multiplicationPeak(self.context, for: Self.probeDuration)
    }
  }

  /// The plain read loop that `read` is, which `byteCount` bytes are compared with.
  func reading(_ byteCount: Int, _ read: @escaping () -> Int) -> KernelLimit {
    KernelLimit(limit: .reading, amount: byteCount) {
      self.context.rate(for: Self.probeDuration, read)
    }
  }
}

/// A limit and what a call of the kernel amounts to in its unit.
struct KernelLimit {
  let limit: Limit
  let amount: Int
  /// Measures the limit once.
  let rate: () -> Double
}

/// Times calls between measurements of their limits.
struct KernelTimer {
  let repeats: Int

  /// The shortest repeat: well above the microsecond or so that reading the clock and a late thread cost.
  private static let shortestRepeat = 0.005

  /// Times `body`.
  ///
  /// `byteCount` are the bytes that a call moves, `operationCount` its additions and multiplications,
  /// and `limits` are measured around every repeat. `details` go into the JSON document.
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
