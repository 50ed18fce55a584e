package import DuetRuntime
package import DuetSystem

extension IncoherenceTransform {
  /// The tensors of the transform to store, shared by all matrices of this size.
  ///
  /// `incoherence.<size>.signs`, I8 (size), and for sizes that are not powers of two
  /// `incoherence.<size>.factor`, F32 (order, order): F of `OrthogonalFactor`, whose rows have the
  /// length 1 or the square root of the order.
  ///
  /// - Throws: `FileError` when there is not enough memory.
  package func storedTensors() throws(FileError) -> [StoredTensor] {
    let name = "incoherence.\(size)"
    let signFile = try MappedFile(anonymousByteCount: size) { memory in
      for (index, sign) in signs.enumerated() {
        memory.storeBytes(of: sign, toByteOffset: index, as: Int8.self)
      }
    }
    let stored = StoredTensor(
      name: "\(name).signs", elementType: .i8, shape: [size], file: signFile, byteOffset: 0)
    guard factor.order > 1 else { return [stored] }
    let factorFile = try MappedFile(anonymousByteCount: 4 * factor.entries.count) { memory in
      for (index, entry) in factor.entries.enumerated() {
        memory.storeBytes(of: entry.bitPattern, toByteOffset: 4 * index, as: UInt32.self)
      }
    }
    let shape = [factor.order, factor.order]
    return [
      stored,
      StoredTensor(
        name: "\(name).factor", elementType: .f32, shape: shape, file: factorFile, byteOffset: 0),
    ]
  }
}
