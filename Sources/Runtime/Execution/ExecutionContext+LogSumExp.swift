internal import DuetSystem
internal import Kernels

extension ExecutionContext {
  /// Normalisers of log-softmax: output[t] = log(sum over i of exp(logits[t, i])).
  ///
  /// `logits` is (rowCount, size), `output` is (rowCount), overwritten.
  func logSumExp(
    _ logits: borrowing Buffer<Float>, rowCount: Int, size: Int, into output: inout Buffer<Double>
  ) {
    precondition(
      logits.count >= rowCount * size && output.count >= rowCount,
      "normalisers of \(rowCount) x \(size) numbers in \(logits.count) and \(output.count)")
    let rows = unsafe UnsafePointer(logits.pointer)
    let normalizers = unsafe output.pointer
    forEachToken(rowCount) { row in
      unsafe normalizers[row] = unsafe kernels.pointee.log_sum_exp(rows + row * size, size)
    }
  }
}
