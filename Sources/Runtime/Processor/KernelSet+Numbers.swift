internal import Kernels

extension KernelSet {
  /// log(sum of exp(x)), the normaliser of log-softmax, or nil when a number is NaN.
  ///
  /// - Precondition: `values` is not empty.
  /// - Complexity: O(count).
  package func logSumExp(_ values: Span<Float>) -> Double? {
    precondition(!values.isEmpty, "log-sum-exp of nothing")
    let result = unsafe values.withUnsafeBufferPointer { values -> Double in
      guard let numbers = values.baseAddress else { return .nan }
      return unsafe table.pointee.log_sum_exp(numbers, values.count)
    }
    return result.isFinite ? result : nil
  }
}
