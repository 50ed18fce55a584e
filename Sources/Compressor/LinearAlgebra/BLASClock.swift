internal import Synchronization

/// The time that all threads together spend inside OpenBLAS, counted only inside `seconds(in:)`.
package enum BLASClock {
  private static let isRunning = Atomic<Bool>(false)
  private static let nanoseconds = Atomic<Int>(0)

  /// Calls `body` and returns how many seconds its threads spent in products and factorisations.
  ///
  /// Only one thread may call this at a time. All BLAS calls of the process are counted.
  package static func seconds(in body: () throws -> Void) rethrows -> Double {
    nanoseconds.store(0, ordering: .relaxed)
    isRunning.store(true, ordering: .relaxed)
    defer { isRunning.store(false, ordering: .relaxed) }
    try body()
    return Double(nanoseconds.load(ordering: .relaxed)) * 1e-9
  }

  /// Runs one call of BLAS and, while the clock runs, adds its time.
  @inline(__always)
  static func count(_ call: () -> Void) {
    guard isRunning.load(ordering: .relaxed) else { return call() }
    let clock = ContinuousClock()
    let start = clock.now
    call()
    let duration = start.duration(to: clock.now)
    nanoseconds.wrappingAdd(Int(duration / .nanoseconds(1)), ordering: .relaxed)
  }
}
