import DuetRuntime
import Synchronization
import TestSupport
import Testing

@Suite("Worker pool")
struct WorkerPoolTests {
  @Test("every part runs once", arguments: [1, 2, 3, 8])
  func everyPartRunsOnce(threadCount: Int) {
    let pool = WorkerPool(threadCount: threadCount)
    #expect(pool.threadCount == threadCount)
    for count in [0, 1, 2, 7, 64, 1000] {
      let runs = (0..<count).map { _ in Counter() }
      let strangers = Counter()
      pool.run(count) { part, worker in
        runs[part].value.wrappingAdd(1, ordering: .relaxed)
        if !(0..<threadCount).contains(worker) {
          strangers.value.wrappingAdd(1, ordering: .relaxed)
        }
      }
      #expect(runs.allSatisfy { $0.value.load(ordering: .relaxed) == 1 }, "\(count) parts")
      #expect(strangers.value.load(ordering: .relaxed) == 0)
    }
  }

  @Test("calls of one worker do not overlap")
  func callsOfOneWorkerDoNotOverlap() {
    let pool = WorkerPool(threadCount: 4)
    let busy = (0..<4).map { _ in Counter() }
    let overlaps = Counter()
    let delay = Counter()
    for _ in 0..<200 {
      pool.run(16) { _, worker in
        if busy[worker].value.wrappingAdd(1, ordering: .relaxed).oldValue != 0 {
          overlaps.value.wrappingAdd(1, ordering: .relaxed)
        }
        // Long enough for other threads to be in here at the same time.
        for _ in 0..<5_000 { delay.value.wrappingAdd(1, ordering: .relaxed) }
        busy[worker].value.wrappingSubtract(1, ordering: .relaxed)
      }
    }
    #expect(overlaps.value.load(ordering: .relaxed) == 0)
  }

  /// Jobs one after another and jobs after a pause long enough for the workers to fall asleep: each
  /// must see what the one before wrote.
  @Test("each job sees what the one before wrote", arguments: [0, 3_000])
  func jobsFollowEachOther(pauseMicroseconds: UInt32) async throws {
    let pool = WorkerPool(threadCount: 3)
    let sum = Counter()
    let rounds = pauseMicroseconds == 0 ? 20_000 : 100
    for _ in 0..<rounds {
      pool.run(3) { _, _ in sum.value.wrappingAdd(1, ordering: .relaxed) }
      if pauseMicroseconds > 0 {
        try await Task.sleep(for: .microseconds(pauseMicroseconds))
      }
    }
    #expect(sum.value.load(ordering: .relaxed) == 3 * rounds)
  }

  @Test(
    "callers take turns",
    .disabled(
      if: Sanitizer.watchesThreads,
      "the thread sanitizer does not see the slow path of the standard library's Mutex"))
  func callersTakeTurns() async {
    let pool = WorkerPool(threadCount: 2)
    let sum = Counter()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<4 {
        group.addTask {
          for _ in 0..<500 {
            pool.run(5) { part, _ in sum.value.wrappingAdd(part + 1, ordering: .relaxed) }
          }
        }
      }
    }
    #expect(sum.value.load(ordering: .relaxed) == 4 * 500 * (1 + 2 + 3 + 4 + 5))
  }

  @Test("pools come and go")
  func poolsComeAndGo() {
    for _ in 0..<200 {
      let pool = WorkerPool(threadCount: 3)
      pool.run(3) { _, _ in }
    }
  }
}

/// An atomic integer that closures can share.
private final class Counter: Sendable {
  let value = Atomic<Int>(0)
}
