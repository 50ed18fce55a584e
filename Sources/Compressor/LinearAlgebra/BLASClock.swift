internal import Synchronization

/// The time that all threads together have spent inside OpenBLAS, counted while someone wants to know.
package enum BLASClock {
  private static let isRunning = Atomic<Bool>(false)
  private static let nanoseconds = Atomic<Int>(0)

  /// Calls `body` and returns how many seconds its threads spent in products and factorisations.
  ///
  /// One caller at a time; others' calls of BLAS would be counted too.
  package static func seconds(in body: () throws -> Void) rethrows -> Double {
    nanoseconds.store(0, ordering: .relaxed)
    isRunning.store(true, ordering: .relaxed)
    defer { isRunning.store(false, ordering: .relaxed) }
    try body()
    return Double(nanoseconds.load(ordering: .relaxed)) * 1e-9
  }

  /// Runs one call of BLAS.
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
