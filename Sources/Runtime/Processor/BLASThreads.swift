internal import COpenBLAS

/// The threads of OpenBLAS itself, of which there is one: products are dealt out to a `WorkerPool`.
package enum BLASThreads {
  /// Tells OpenBLAS to compute on the thread that calls it; only the first call does anything.
  package static func useOne() { _ = one }

  private static let one: Void = openblas_set_num_threads(1)
}
