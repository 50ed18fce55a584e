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

  /// Two rows of logits, x and y, in Double: their normalisers, log(sum of exp(x)) and log(sum of exp(y)), and the mean of
  /// x - y by the probabilities of x, sum over i of softmax(x)_i (x_i - y_i).
  ///
  /// - Precondition: There are logits, and as many of both.
  /// - Complexity: O(count).
  package func compare(
    logits x: Span<Float>, with y: Span<Float>
  ) -> (normalizer: Double, otherNormalizer: Double, meanDifference: Double) {
    precondition(
      !x.isEmpty && x.count == y.count, "the comparison of \(x.count) and \(y.count) logits")
    var result = kernels_comparison()
    unsafe x.withUnsafeBufferPointer { x in
      unsafe y.withUnsafeBufferPointer { y in
        guard let first = x.baseAddress, let second = y.baseAddress else { return }
        unsafe table.pointee.compare_logits(first, second, x.count, &result)
      }
    }
    return (result.x_normalizer, result.y_normalizer, result.mean_difference)
  }
}
