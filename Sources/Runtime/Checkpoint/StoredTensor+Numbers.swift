package import DuetSystem
internal import Kernels

extension KernelSet {
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

extension Matrix where Element == Float {
  /// The numbers of a stored tensor of a floating-point type, widened.
  ///
  /// - Precondition: The tensor has rowCount * columnCount elements.
  /// - Complexity: O(elements).
  package init(widening tensor: StoredTensor, rowCount: Int, columnCount: Int) {
    self.init(rowCount: rowCount, columnCount: columnCount)
    precondition(
      tensor.elementCount == rowCount * columnCount,
      "\(tensor.elementCount) elements as \(rowCount) x \(columnCount)")
    unsafe KernelSet.standard.widen(
      tensor.pointer, tensor.elementType, tensor.elementCount, pointer)
  }

  /// The numbers as a stored tensor of F32 in new memory.
  ///
  /// - Throws: `FileError` when there is no memory.
  /// - Complexity: O(elements).
  package func storedTensor(named name: String) throws(FileError) -> StoredTensor {
    let file = try MappedFile(anonymousByteCount: 4 * elements.count) { memory in
      for index in 0..<elements.count {
        memory.storeBytes(of: elements[index], toByteOffset: 4 * index, as: Float.self)
      }
    }
    return StoredTensor(
      name: name, elementType: .f32, shape: [rowCount, columnCount], file: file, byteOffset: 0)
  }
}
