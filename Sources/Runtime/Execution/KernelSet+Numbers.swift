internal import Kernels

extension KernelSet {
  /// log(sum of exp(x)), the normaliser of log-softmax, or nil when a number is NaN.
  ///
  /// - Precondition: `values` is not empty.
  /// - Complexity: O(count).
  public func logSumExp(_ values: Span<Float>) -> Double? {
    precondition(!values.isEmpty, "log-sum-exp of nothing")
    let result = unsafe values.withUnsafeBufferPointer { values -> Double in
      guard let numbers = values.baseAddress else { return .nan }
      return unsafe table.pointee.log_sum_exp(numbers, values.count)
    }
    return result.isFinite ? result : nil
  }
}

extension KernelSet {
  /// Whether every number of `matrix` is finite.
  ///
  /// - Complexity: O(outputSize * inputSize).
  func isFinite(_ matrix: DenseMatrix) -> Bool {
    let row = Buffer<Float>(count: matrix.inputSize)
    for index in 0..<matrix.outputSize {
      unsafe widen(
        matrix.pointer(toRow: index), matrix.elementType, matrix.inputSize, row.pointer)
      if unsafe table.pointee.all_finite(row.pointer, matrix.inputSize) == 0 { return false }
    }
    return true
  }

  /// Copies `count` numbers stored as `type` to `target`, widened.
  package func widen(
    _ source: UnsafeRawPointer, _ type: ElementType, _ count: Int,
    _ target: UnsafeMutablePointer<Float>
  ) {
    switch type {
    case .bf16:
      unsafe table.pointee.widen_bf16(
        source.assumingMemoryBound(to: UInt16.self), count, target)
    case .f16:
      unsafe table.pointee.widen_f16(source.assumingMemoryBound(to: UInt16.self), count, target)
    default:
      unsafe target.update(from: source.assumingMemoryBound(to: Float.self), count: count)
    }
  }

  /// The numbers of a stored tensor as Float.
  func widened(_ tensor: StoredTensor) -> [Float] {
    unsafe [Float](unsafeUninitializedCapacity: tensor.elementCount) { target, count in
      if let base = target.baseAddress {
        unsafe widen(tensor.pointer, tensor.elementType, tensor.elementCount, base)
      }
      count = tensor.elementCount
    }
  }
}

extension KernelSet {
  /// Multiplies `matrix` with one vector x (inputSize) on the calling thread: y (outputSize).
  @unsafe
  package func multiply(
    _ matrix: DenseMatrix, _ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>
  ) {
    unsafe matvec(matrix.elementType)(
      matrix.pointer(toRow: 0), matrix.outputSize, matrix.inputSize, x, matrix.inputSize, 1, y,
      matrix.outputSize)
  }

  /// The product with matrices of `type`.
  @unsafe
  func matvec(_ type: ElementType) -> kernels_matvec {
    switch type {
    case .bf16: unsafe table.pointee.matvec_bf16
    case .f16: unsafe table.pointee.matvec_f16
    default: unsafe table.pointee.matvec_f32
    }
  }
}
