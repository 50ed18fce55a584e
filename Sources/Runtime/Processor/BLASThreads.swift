internal import COpenBLAS

/// The number of threads of OpenBLAS itself: one, because a `WorkerPool` splits the products.
package enum BLASThreads {
  /// Tells OpenBLAS to compute on the thread that calls it; only the first call does anything.
  package static func useOne() { _ = one }

  private static let one: Void = openblas_set_num_threads(1)
}
