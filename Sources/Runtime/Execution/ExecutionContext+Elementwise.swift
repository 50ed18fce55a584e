internal import DuetSystem
internal import Kernels

extension ExecutionContext {
  /// Normalises every token: output = weight * input / sqrt(mean(input^2) + epsilon).
  ///
  /// `input` is (tokenCount, size), from row `firstToken` on, `weight` is (size), and `output` is
  /// (tokenCount, size), overwritten.
  func normalize(
    _ input: borrowing Buffer<Float>, firstToken: Int = 0, _ weight: [Float], epsilon: Float,
    tokenCount: Int, into output: inout Buffer<Float>
  ) {
    let size = weight.count
    precondition(
      input.count >= (firstToken + tokenCount) * size && output.count >= tokenCount * size,
      "norm of \(tokenCount) x \(size) numbers in \(input.count) and \(output.count)")
    let x = unsafe UnsafePointer(input.pointer) + firstToken * size
    let y = unsafe output.pointer
    forEachToken(tokenCount) { token in
      unsafe weight.withUnsafeBufferPointer { weight in
        guard let gains = weight.baseAddress else { return }
        unsafe kernels.pointee.rms_norm(
          x + token * size, gains, size, epsilon, y + token * size)
      }
    }
  }

  /// Adds: residual += input, both (tokenCount, size).
  func add(
    _ input: borrowing Buffer<Float>, tokenCount: Int, size: Int, to residual: inout Buffer<Float>
  ) {
    precondition(
      input.count >= tokenCount * size && residual.count >= tokenCount * size,
      "sum of \(tokenCount) x \(size) numbers in \(input.count) and \(residual.count)")
    let x = unsafe UnsafePointer(input.pointer)
    let y = unsafe residual.pointer
    forEachToken(tokenCount) { token in
      unsafe kernels.pointee.add(x + token * size, size, y + token * size)
    }
  }

  /// Gates: gateUp[t, i] = silu(gateUp[t, i]) * gateUp[t, size + i] for i < size.
  ///
  /// `gateUp` is (tokenCount, 2 * size), gate and up side by side; the product replaces the gate.
  ///
  /// Source: Shazeer, arXiv:2002.05202, SwiGLU.
  func gate(_ gateUp: inout Buffer<Float>, tokenCount: Int, size: Int) {
    precondition(
      gateUp.count >= tokenCount * 2 * size,
      "gate of \(tokenCount) x \(2 * size) numbers in \(gateUp.count)")
    let rows = unsafe gateUp.pointer
    forEachToken(tokenCount) { token in
      let gate = unsafe rows + token * 2 * size
      unsafe kernels.pointee.silu_product(gate, gate + size, size, gate)
    }
  }

  /// Whether the first `count` numbers are all finite.
  func isFinite(_ values: borrowing Buffer<Float>, count: Int) -> Bool {
    precondition(count <= values.count, "\(count) of \(values.count) numbers")
    return unsafe kernels.pointee.all_finite(values.pointer, count) != 0
  }
}
