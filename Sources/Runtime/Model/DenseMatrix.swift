internal import DuetSystem

/// A weight matrix in the element type it is stored in: a view of a mapped file.
///
/// (outputSize, inputSize), row-major; the product with activations x is y = x W^T.
package struct DenseMatrix: Sendable {
  /// The number of rows.
  package let outputSize: Int
  /// The number of columns.
  package let inputSize: Int
  /// The type of the elements: F32, F16 or BF16.
  package let elementType: ElementType

  private let tensor: StoredTensor

  /// A view of the stored tensor `name`.
  ///
  /// - Throws: `CheckpointError` when the tensor is missing, its shape is not (outputSize,
  ///   inputSize) or its element type is not a floating-point type of 16 or 32 bits.
  init(
    _ checkpoint: borrowing Checkpoint, _ name: String, outputSize: Int, inputSize: Int
  ) throws(CheckpointError) {
    tensor = try checkpoint.tensor(named: name, shape: [outputSize, inputSize])
    elementType = tensor.elementType
    self.outputSize = outputSize
    self.inputSize = inputSize
  }

  /// A view of a factor in half precision.
  ///
  /// - Throws: `CheckpointError`, also when a number is not finite; factors are small, so all are read.
  init(
    half checkpoint: borrowing Checkpoint, _ name: String, outputSize: Int, inputSize: Int
  ) throws(CheckpointError) {
    tensor = try checkpoint.tensor(
      named: name, shape: [outputSize, inputSize], elementTypes: [.f16])
    guard tensor.firstNonFiniteHalf == nil else {
      throw .nonFiniteValues(path: tensor.file.path, tensor: name)
    }
    elementType = .f16
    self.outputSize = outputSize
    self.inputSize = inputSize
  }

  /// The name of the stored tensor.
  package var name: String { tensor.name }

  /// The bytes of one row.
  var rowByteCount: Int { inputSize * elementType.byteCount }

  /// The bytes of all rows.
  var byteCount: Int { outputSize * rowByteCount }

  /// The address of the first element of `row`, for the kernels, valid while this matrix lives.
  @unsafe
  func pointer(toRow row: Int) -> UnsafeRawPointer {
    unsafe tensor.pointer + row * rowByteCount
  }
}

extension Checkpoint {
  /// The vector `name` of `count` numbers, widened to Float; they are few, so they are copied.
  ///
  /// - Throws: `CheckpointError`, also when a number is not finite.
  package func vector(named name: String, count: Int) throws(CheckpointError) -> [Float] {
    let tensor = try tensor(named: name, shape: [count])
    let values = KernelSet.standard.widened(tensor)
    guard values.allSatisfy(\.isFinite) else {
      throw .nonFiniteValues(path: tensor.file.path, tensor: name)
    }
    return values
  }
}
