internal import COpenBLAS
internal import DuetSystem
internal import Kernels

/// Measurements of the machine's limits, to compare the products of a model with in the same process.
package enum MachineProbe {
  /// Reads every weight that one token reads, doing nothing else with it.
  ///
  /// The plain read loop of the session's kernel set reads the same memory as a token, on the threads of
  /// the session. A token cannot take less time.
  ///
  /// - Returns: The bytes read, and a sum of them that keeps the loop from being optimised away.
  package static func readWeights(of session: borrowing Session) -> (byteCount: Int, sum: UInt64) {
    let model = session.model
    let linears = model.layers.flatMap(\.linears) + [model.head]
    let regions = linears.flatMap(\.memoryRegions)
    return read(regions, session.pass.context)
  }

  /// The time of one product of two matrices of ones by OpenBLAS's sgemm with its own threads.
  ///
  /// - Parameters:
  ///   - tokenCount: Rows of the activations, (tokenCount, inputSize).
  ///   - outputSize: Rows of the weights, (outputSize, inputSize).
  ///   - inputSize: Columns of both.
  ///   - threadCount: Threads of OpenBLAS.
  /// - Returns: The duration of the second of two products; the first warms up.
  package static func timeOfBLAS(
    tokenCount: Int, outputSize: Int, inputSize: Int, threadCount: Int
  ) -> Duration {
    var x = Buffer<Float>(count: tokenCount * inputSize)
    var w = Buffer<Float>(count: outputSize * inputSize)
    for index in 0..<x.count { x[index] = 1 }
    for index in 0..<w.count { w[index] = 1 }
    let y = Buffer<Float>(count: tokenCount * outputSize)
    openblas_set_num_threads(Int32(threadCount))
    var duration = Duration.zero
    for _ in 0..<2 {
      duration = ContinuousClock().measure {
        unsafe cblas_sgemm(
          CblasRowMajor, CblasNoTrans, CblasTrans, blasint(tokenCount), blasint(outputSize),
          blasint(inputSize), 1, x.pointer, blasint(inputSize), w.pointer, blasint(inputSize), 0,
          y.pointer, blasint(outputSize))
      }
    }
    openblas_set_num_threads(1)
    return duration
  }
}
