internal import DuetSystem

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

extension Checkpoint {
  /// Whether the files hold an embedding and a head that differ, as after a tuning of the head alone.
  ///
  /// Source: transformers 5.24, `PreTrainedModel.tie_weights`, which does not tie them either then.
  ///
  /// - Complexity: O(bytes) when both are there and equal, else up to the first difference.
  func storesOtherHead() throws(CheckpointError) -> Bool {
    guard let embedding = try tensor(named: "model.embed_tokens.weight"),
      let head = try tensor(named: "lm_head.weight")
    else { return false }
    return !embedding.hasNumbers(of: head)
  }
}

extension StoredTensor {
  /// Whether another tensor has the same shape and the same numbers, whatever their types.
  ///
  /// - Returns: False also when a type other than F32, F16 and BF16 is not the same.
  fileprivate func hasNumbers(of other: StoredTensor) -> Bool {
    guard shape == other.shape else { return false }
    if elementType == other.elementType, unsafe memcmp(pointer, other.pointer, byteCount) == 0 {
      return true
    }
    // Other bytes can be the same numbers: in another type, and zeros of both signs.
    let types: [ElementType] = [.f32, .f16, .bf16]
    guard types.contains(elementType), types.contains(other.elementType) else { return false }
    let pieceCount = 4096
    let left = Buffer<Float>(count: pieceCount)
    let right = Buffer<Float>(count: pieceCount)
    let kernels = KernelSet.standard
    for start in stride(from: 0, to: elementCount, by: pieceCount) {
      let count = min(pieceCount, elementCount - start)
      unsafe kernels.widen(
        pointer + start * elementType.byteCount, elementType, count, left.pointer)
      unsafe kernels.widen(
        other.pointer + start * other.elementType.byteCount, other.elementType, count,
        right.pointer)
      for index in 0..<count where left[index] != right[index] { return false }
    }
    return true
  }
}
