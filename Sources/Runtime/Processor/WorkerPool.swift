internal import Dispatch
internal import Kernels
internal import Synchronization

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// A fixed number of threads that run one job at a time; nothing else in the library starts threads.
///
/// A job consists of a number of parts. Threads take the next part from a shared counter, so which
/// thread runs which part is not fixed: a part must write only memory of its own, and then the result
/// does not depend on the number of threads. Between jobs the workers spin for a short while, so that
/// jobs in quick succession, such as the steps of a decoder layer, start within a microsecond; after
/// that they sleep and use no processor time.
///
/// The thread that calls `run` is worker 0 and works too: a pool of one has no other thread.
package final class WorkerPool: Sendable {
  /// The number of threads that work on a job, the caller's included.
  package let threadCount: Int

  private let state: State
  private let workers: [Worker]

  /// Starts `threadCount - 1` threads.
  ///
  /// When the system refuses a thread, the pool is smaller than asked for; see `threadCount`.
  ///
  /// - Precondition: `threadCount` is positive.
  package init(threadCount: Int) {
    precondition(threadCount > 0, "a pool of \(threadCount) threads")
    state = State()
    var workers: [Worker] = []
    for index in 1..<max(threadCount, 1) {
      let worker = Worker(index: index, state: state)
      guard worker.start() else { break }
      workers.append(worker)
    }
    self.workers = workers
    self.threadCount = workers.count + 1
  }

  deinit {
    state.isStopping.store(true, ordering: .sequentiallyConsistent)
    publish()
    for worker in workers { worker.join() }
  }

  /// Calls `body(part, worker)` once for every `part` in `0 ..< count` and returns when all are done.
  ///
  /// `worker` is in `0 ..< threadCount` and no two calls with the same worker overlap, so it can select
  /// scratch memory. Calls from several threads run one after the other; a call from inside a body
  /// deadlocks.
  ///
  /// - Parameters:
  ///   - count: Number of parts.
  ///   - body: The work. It runs on several threads at once, and what it captures must allow that.
  package func run(_ count: Int, _ body: (_ part: Int, _ worker: Int) -> Void) {
    if count == 1 || workers.isEmpty {
      state.turn.withLock { _ in
        for part in 0..<max(count, 0) { body(part, 0) }
      }
      return
    }
    // Swift allocates a closure that another thread calls on the heap.
    withoutActuallyEscaping(body) { escapable in
      run(count, with: escapable) { body, part, worker in body(part, worker) }
    }
  }

  /// Calls `body` for every part like `run(_:_:)`, but without an allocation.
  ///
  /// It is for jobs that every token needs: `body` captures nothing, and its data are in `context`.
  ///
  /// - Parameters:
  ///   - count: Number of parts.
  ///   - context: The data of the job, the same for all parts.
  ///   - body: The work, a closure without captures.
  func run<Context>(
    _ count: Int, with context: Context,
    _ body: @escaping (_ context: Context, _ part: Int, _ worker: Int) -> Void
  ) {
    if count <= 0 { return }
    state.turn.withLock { _ in
      if count == 1 || workers.isEmpty {
        for part in 0..<count { body(context, part, 0) }
        return
      }
      // The job is on this stack frame, which lives until all workers have finished the job.
      unsafe withUnsafePointer(to: Job(context: context, body: body)) { job in
        unsafe state.job = (Job<Context>.self, UnsafeRawPointer(job), count)
        state.nextPart.store(0, ordering: .relaxed)
        state.unfinished.store(workers.count, ordering: .relaxed)
        publish()
        state.work(as: 0)
        state.awaitOthers()
      }
    }
  }

  /// Announces a new job, or the end, to all workers, waking those that sleep.
  private func publish() {
    state.generation.wrappingAdd(1, ordering: .sequentiallyConsistent)
    for worker in workers { worker.wake() }
  }
}

/// A job with a context of any type.
private protocol AnyJob {
  func run(part: Int, worker: Int)
}

extension AnyJob {
  /// Runs a part of the job of this type at `address`.
  static func run(at address: UnsafeRawPointer, part: Int, worker: Int) {
    unsafe address.assumingMemoryBound(to: Self.self).pointee.run(part: part, worker: worker)
  }
}

private struct Job<Context>: AnyJob {
  let context: Context
  let body: (Context, Int, Int) -> Void

  func run(part: Int, worker: Int) { body(context, part, worker) }
}

/// The state that the threads of a pool share.
@safe
private final class State: @unchecked Sendable {
  /// The current job.
  ///
  /// Written by `run` before `generation` is raised, read by workers after they saw it raised; not
  /// changed again until every worker has decremented `unfinished`.
  nonisolated(unsafe) var job: (type: any AnyJob.Type, address: UnsafeRawPointer, count: Int)?

  // Locked once for each job. Each session has its own pool, so the lock is usually free, and locking it
  // is one atomic exchange without a system call.
  let turn = Mutex(())
  let generation = Atomic<Int>(0)
  let nextPart = Atomic<Int>(0)
  let unfinished = Atomic<Int>(0)
  let isStopping = Atomic<Bool>(false)

  /// Takes parts of the job until none is left.
  func work(as worker: Int) {
    guard let (type, address, count) = unsafe job else { return }
    while true {
      let part = nextPart.wrappingAdd(1, ordering: .relaxed).oldValue
      if part >= count { return }
      unsafe type.run(at: address, part: part, worker: worker)
    }
  }

  /// Returns when every worker has left the current job.
  func awaitOthers() {
    var spins = 0
    while unfinished.load(ordering: .acquiring) > 0 {
      kernels_pause()
      spins += 1
      // With more threads than free processors, the worker waited for may need this processor.
      if spins % 1024 == 0 { sched_yield() }
    }
  }
}

/// One thread of a pool.
///
/// Each has its own alarm: with a shared one, a worker that is quick to sleep again could use up the
/// signal of another that has not woken yet.
@safe
private final class Worker: @unchecked Sendable {
  private let index: Int
  private let state: State
  private let isAsleep = Atomic<Bool>(false)
  private let alarm = DispatchSemaphore(value: 0)
  // Written by `start`, read by `join`, both called by the owner of the pool.
  private var thread: pthread_t?

  /// The number of iterations of the spinning loop before a worker sleeps.
  ///
  /// 20,000 pauses of 40 to 140 cycles are 0.3 to 1 ms: longer than the pauses between the tokens of a
  /// small model, shorter than a person notices.
  private static let spinLimit = 20_000

  init(index: Int, state: State) {
    self.index = index
    self.state = state
  }

  /// Starts the thread; false when the system refuses.
  func start() -> Bool {
    let argument = unsafe Unmanaged.passRetained(self)
    var thread = pthread_t()
    let status = unsafe pthread_create(
      &thread, nil,
      { argument in
        guard let argument = unsafe argument else { return nil }
        unsafe Unmanaged<Worker>.fromOpaque(argument).takeRetainedValue().serve()
        return nil
      }, argument.toOpaque())
    if status != 0 {
      unsafe argument.release()
      return false
    }
    self.thread = thread
    return true
  }

  func join() {
    if let thread { pthread_join(thread, nil) }
  }

  /// Wakes the thread if it sleeps; to be called after `generation` was raised.
  func wake() {
    if isAsleep.exchange(false, ordering: .sequentiallyConsistent) { alarm.signal() }
  }

  private func serve() {
    var seen = 0
    while true {
      seen = nextGeneration(after: seen)
      if state.isStopping.load(ordering: .sequentiallyConsistent) { return }
      state.work(as: index)
      state.unfinished.wrappingSubtract(1, ordering: .releasing)
    }
  }

  /// Returns the first generation other than `seen`, spinning first and sleeping then.
  private func nextGeneration(after seen: Int) -> Int {
    for _ in 0..<Self.spinLimit {
      let current = state.generation.load(ordering: .acquiring)
      if current != seen { return current }
      kernels_pause()
    }
    while true {
      // This thread sets the flag before it reads the generation a last time, and `publish` raises the
      // generation before it reads the flag: at least one of the two sees the change of the other.
      isAsleep.store(true, ordering: .sequentiallyConsistent)
      let current = state.generation.load(ordering: .sequentiallyConsistent)
      if current != seen, isAsleep.exchange(false, ordering: .sequentiallyConsistent) {
        return current
      }
      // Either there is no new generation yet, or `publish` has cleared the flag and its signal follows.
      alarm.wait()
      // A `publish` that was delayed between its two steps wakes a worker that has already done the job
      // and gone to sleep: the generation is then still `seen`.
      let woken = state.generation.load(ordering: .sequentiallyConsistent)
      if woken != seen { return woken }
    }
  }
}
