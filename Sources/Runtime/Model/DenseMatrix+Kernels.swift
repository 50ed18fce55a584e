internal import DuetSystem
internal import Kernels

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

  /// Multiplies `matrix` with one vector x (inputSize) on the calling thread: y (outputSize).
  @unsafe
  package func multiply(
    _ matrix: DenseMatrix, _ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>
  ) {
    unsafe matvec(matrix.elementType)(
      matrix.pointer(toRow: 0), matrix.outputSize, matrix.inputSize, x, matrix.inputSize, 1, y,
      matrix.outputSize)
  }

  /// The kernel that multiplies matrices of `type`.
  @unsafe
  func matvec(_ type: ElementType) -> kernels_matvec {
    switch type {
    case .bf16: unsafe table.pointee.matvec_bf16
    case .f16: unsafe table.pointee.matvec_f16
    default: unsafe table.pointee.matvec_f32
    }
  }
}
