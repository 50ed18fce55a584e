import DuetRuntime
import DuetSystem
import Kernels

extension KernelCall {
  /// The functions of `kernelSet` that work on the numbers of one token, which fit in the cache.
  ///
  /// The sizes are of a model of seven billion weights: 4096 numbers, 11008 in the middle of a
  /// feed-forward layer, 32 heads of 128, 32000 logits. Each function is listed only here, with its
  /// name, its sizes, the bytes it reads and writes, and the call.
  static func elementwise(_ kernelSet: KernelSet) -> [KernelCall] {
    let table = unsafe kernelSet.table
    let o = Operands()
    let (hidden, middle, vocabulary, heads, headSize) = (4096, 11008, 32000, 32, 128)

    func call(
      _ name: String, _ shape: String, reads: Int, writes: Int,
      _ body: @escaping () -> Void
    ) -> KernelCall {
      KernelCall(
        name, shape, byteCount: reads + writes, readByteCount: reads,
        reading: [o.region(byteCount: reads)], { _ in body() })
    }

    return [
      call("quantize_int8", "\(hidden)", reads: 4 * hidden, writes: hidden) {
        unsafe table.pointee.quantize_int8(
          o.x.pointer, hidden, 1, o.bytes.pointer, o.scales.pointer, o.sums.pointer)
      },
      call("reorder_e8p", "\(hidden)", reads: hidden, writes: hidden) {
        unsafe table.pointee.reorder_e8p(o.bytes.pointer, hidden, o.reordered.pointer)
      },
      call("widen_f16", "\(hidden)", reads: 2 * hidden, writes: 4 * hidden) {
        unsafe table.pointee.widen_f16(o.halves.pointer, hidden, o.y.pointer)
      },
      call("widen_bf16", "\(hidden)", reads: 2 * hidden, writes: 4 * hidden) {
        unsafe table.pointee.widen_bf16(o.halves.pointer, hidden, o.y.pointer)
      },
      call("narrow_int8", "\(hidden)", reads: 4 * hidden, writes: hidden) {
        o.result = unsafe Double(
          table.pointee.narrow_int8(o.x.pointer, hidden, o.bytes.pointer))
      },
      call("narrow_f16", "\(hidden)", reads: 4 * hidden, writes: 2 * hidden) {
        unsafe table.pointee.narrow_f16(o.x.pointer, hidden, o.target.pointer)
      },
      call("add", "\(hidden)", reads: 8 * hidden, writes: 4 * hidden) {
        unsafe table.pointee.add(o.x.pointer, hidden, o.sum.pointer)
      },
      call("rms_norm", "\(hidden)", reads: 8 * hidden, writes: 4 * hidden) {
        unsafe table.pointee.rms_norm(o.x.pointer, o.w.pointer, hidden, 1e-5, o.y.pointer)
      },
      call(
        "rotate", "\(heads) heads of \(headSize)", reads: 4 * hidden + 4 * headSize,
        writes: 4 * hidden
      ) {
        // The cosines and sines are both the square root of a half, so lengths do not change.
        unsafe table.pointee.rotate(
          o.turned.pointer, heads, headSize, o.halfRoots.pointer, o.halfRoots.pointer)
      },
      call("silu_product", "\(middle)", reads: 8 * middle, writes: 4 * middle) {
        unsafe table.pointee.silu_product(o.x.pointer, o.w.pointer, middle, o.y.pointer)
      },
      call("multiply_signs", "\(hidden)", reads: 5 * hidden, writes: 4 * hidden) {
        unsafe table.pointee.multiply_signs(o.signs.pointer, o.x.pointer, hidden, o.y.pointer)
      },
      call("hadamard", "\(hidden)", reads: 4 * hidden, writes: 4 * hidden) {
        // With this scale lengths do not change, so repeated calls neither overflow nor vanish.
        unsafe table.pointee.hadamard(o.turned.pointer, 1, hidden, 1 / 64)
      },
      call(
        "round_e8p", "\(hidden / 8) rows of 8", reads: 4 * hidden + hidden / 2, writes: 4 * hidden
      ) {
        unsafe table.pointee.round_e8p(
          o.x.pointer, o.halfRoots.pointer, hidden / 8, hidden / 8, o.y.pointer)
      },
      unsafe mixing(order: 28, columns: 512, o, table),
      unsafe mixing(order: 43, columns: 256, o, table),
      unsafe mixing(order: 108, columns: 128, o, table),
      call("log_sum_exp", "\(vocabulary)", reads: 4 * vocabulary, writes: 0) {
        o.result = unsafe table.pointee.log_sum_exp(o.x.pointer, vocabulary)
      },
      call("all_finite", "\(vocabulary)", reads: 4 * vocabulary, writes: 0) {
        o.result = unsafe Double(table.pointee.all_finite(o.x.pointer, vocabulary))
      },
    ]
  }

  /// The product with the dense factor of a rotation of order * columns numbers.
  private static func mixing(
    order: Int, columns: Int, _ o: Operands, _ table: UnsafePointer<kernels_set>
  ) -> KernelCall {
    let (readByteCount, writeByteCount) = (
      4 * (order * order + order * columns), 4 * order * columns
    )
    return KernelCall(
      "mix_rows", "\(order) x \(order) x \(columns)", byteCount: readByteCount + writeByteCount,
      operationCount: 2 * order * order * columns, reading: [o.region(byteCount: readByteCount)]
    ) { _ in
      unsafe table.pointee.mix_rows(
        o.w.pointer, order, order, o.x.pointer, columns, columns, o.y.pointer)
    }
  }
}

/// The inputs and outputs of the element-wise calls.
private final class Operands {
  /// The numbers of the largest operand of a call.
  private static let count = 1 << 17

  let x = MachineProbe.gaussians(count: count)
  let w = MachineProbe.gaussians(count: count)
  let halves = Buffer<UInt16>(count: count)
  let bytes = Buffer<Int8>(count: 4096)
  let y = Buffer<Float>(count: count)
  let sum = Buffer<Float>(count: count)
  let turned = MachineProbe.gaussians(count: 4096)
  let halfRoots = Buffer<Float>(count: 512)
  let target = Buffer<UInt16>(count: count)
  let reordered = Buffer<Int8>(count: 4096)
  let signs = Buffer<Int8>(count: 4096)
  let scales = Buffer<Float>(count: 32)
  let sums = Buffer<Int32>(count: 128)
  var result = 0.0

  init() {
    for index in 0..<signs.count { unsafe signs.pointer[index] = index % 3 == 0 ? -1 : 1 }
    for index in 0..<halves.count {
      unsafe halves.pointer[index] = Float16(x[index]).bitPattern
    }
    for index in 0..<halfRoots.count {
      unsafe halfRoots.pointer[index] = Float(0.5).squareRoot()
    }
  }

  /// A region of as many bytes as a call reads, for the read loop.
  func region(byteCount: Int) -> MemoryRegion {
    unsafe MemoryRegion(x.pointer, min(byteCount, x.count * 4))
  }
}
