internal import DuetSystem
internal import Kernels

/// The kernels, the threads and each thread's scratch memory for a forward pass.
///
/// The operations are in extensions: products in `+Products`, attention in `+Attention`, the rest in
/// `+Elementwise`. They take owned buffers, check sizes once, and split their work into parts that
/// write disjoint memory, by rows or tokens, so that results do not depend on the number of threads.
@safe
package struct ExecutionContext: ~Copyable {
  package let kernelSet: KernelSet
  package let pool: WorkerPool
  /// Floats of scratch per worker.
  let scratchCount: Int
  /// (threadCount, scratchCount).
  private let scratch: Buffer<Float>

  /// A context for the sizes of `configuration`.
  init(_ configuration: Configuration, kernelSet: KernelSet, pool: WorkerPool) {
    self.init(
      kernelSet: kernelSet, pool: pool,
      scratchCount: max(Self.widenedCount, kernels_attend_scratch(configuration.headSize)))
  }

  /// A context with `scratchCount` floats of scratch per worker; packed products need none.
  package init(kernelSet: KernelSet, threadCount: Int, scratchCount: Int = 0) {
    self.init(
      kernelSet: kernelSet, pool: WorkerPool(threadCount: threadCount), scratchCount: scratchCount)
  }

  private init(kernelSet: KernelSet, pool: WorkerPool, scratchCount: Int) {
    self.kernelSet = kernelSet
    self.scratchCount = scratchCount
    self.pool = pool
    scratch = Buffer(count: scratchCount * pool.threadCount)
  }

  /// The number of weights that are widened to Float together before BLAS multiplies them.
  ///
  /// 4 MiB per thread, which stays in the last-level cache.
  static let widenedCount = 1 << 20

  /// The table of kernels, which is immutable and never freed.
  @unsafe
  var kernels: UnsafePointer<kernels_set> { unsafe kernelSet.table }

  /// The scratch memory of `worker`.
  @unsafe
  func scratch(of worker: Int) -> UnsafeMutablePointer<Float> {
    unsafe scratch.pointer + worker * scratchCount
  }

  /// Calls `body` for every token, on all threads when there are four tokens or more.
  func forEachToken(_ tokenCount: Int, _ body: (_ token: Int) -> Void) {
    // Element-wise work on one token takes a microsecond or two, as long as waking the workers.
    if tokenCount < 4 {
      for token in 0..<tokenCount { body(token) }
    } else {
      pool.run(tokenCount) { token, _ in body(token) }
    }
  }
}
