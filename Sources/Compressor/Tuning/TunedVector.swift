internal import DuetRuntime
internal import DuetSystem

/// A stored tensor of real numbers that change: value = stored + unit * number, with the numbers 0 at first.
///
/// The unit makes a step of one size suit all tensors.
struct TunedVector {
  /// What a unit is.
  enum Unit {
    /// The stored value itself: a value of zero stays.
    case value
    /// The root mean square of the tensor.
    case tensor
  }

  /// The stored tensor, with its shape.
  let tensor: StoredTensor
  /// The stored values.
  let stored: [Float]
  /// The places of the numbers.
  let range: Range<Int>
  private let unit: Unit
  private let rootMeanSquare: Float

  /// A stored tensor whose numbers begin at `start` of all tuned numbers.
  init(_ tensor: StoredTensor, _ unit: Unit, start: Int) {
    let matrix = Matrix(widening: tensor, rowCount: 1, columnCount: tensor.elementCount)
    let values = (0..<tensor.elementCount).map { matrix[0, $0] }
    self.tensor = tensor
    self.unit = unit
    stored = values
    range = start..<start + values.count
    let squares = values.reduce(0.0) { $0 + Double($1) * Double($1) }
    rootMeanSquare = Float((squares / Double(max(1, values.count))).squareRoot())
  }

  private func unit(_ index: Int) -> Float { unit == .value ? stored[index] : rootMeanSquare }

  /// The values.
  func values(_ numbers: borrowing Buffer<Float>) -> [Float] {
    stored.indices.map { stored[$0] + unit($0) * numbers[range.lowerBound + $0] }
  }

  /// Adds the derivatives by the tuned numbers, from those by the values at `gradient`.
  @unsafe
  func addGradient(of gradient: UnsafePointer<Float>, to result: borrowing Buffer<Float>) {
    for index in stored.indices {
      unsafe result.pointer[range.lowerBound + index] += unsafe unit(index) * gradient[index]
    }
  }

  /// The tensor with the tuned numbers, in F32, so that small steps are kept.
  ///
  /// - Parameters:
  ///   - numbers: All tuned numbers.
  ///   - keepsHalf: Whether a tensor of F16 stays one.
  /// - Returns: The tensor to store.
  /// - Throws: `CompressionDataError.outOfHalfRange`, `FileError` when there is no memory.
  func storedTensor(
    _ numbers: borrowing Buffer<Float>, keepsHalf: Bool
  ) throws -> StoredTensor {
    let values = values(numbers)
    if keepsHalf, tensor.elementType == .f16 {
      let halves = values.map { Float16($0) }
      guard halves.allSatisfy(\.isFinite) else {
        throw CompressionDataError.outOfHalfRange(tensor: tensor.name)
      }
      return try StoredTensor(named: tensor.name, shape: tensor.shape, halves: halves)
    }
    let file = try MappedFile(anonymousByteCount: 4 * values.count) { memory in
      for (index, value) in values.enumerated() {
        memory.storeBytes(of: value, toByteOffset: 4 * index, as: Float.self)
      }
    }
    return StoredTensor(
      name: tensor.name, elementType: .f32, shape: tensor.shape, file: file, byteOffset: 0)
  }
}
