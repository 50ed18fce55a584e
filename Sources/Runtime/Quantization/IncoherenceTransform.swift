package import DuetSystem
internal import Kernels

/// A randomised Hadamard transform: z = B S x, with signs S on the diagonal and B orthogonal.
///
/// It makes outliers of activations and weights rare by spreading each over a whole vector. It is
/// orthogonal, so nothing is lost: x = S B^T z. `OrthogonalFactor` describes B.
///
/// Accuracy: with z exact, the result differs from it by at most
/// (order^1.5 + log2(width) + 4) * 2^-24 * |x| in the Euclidean norm, to first order; it is
/// bit-identical for all kernel sets and numbers of threads.
///
/// Source: Tseng et al., QuIP#, arXiv:2402.04396, section 3.
package struct IncoherenceTransform: Sendable {
  /// B.
  package let factor: OrthogonalFactor
  /// The diagonal of S, 1 or -1 each.
  package let signs: [Int8]

  /// The length of the vectors.
  package var size: Int { signs.count }

  /// A transform with stored signs.
  ///
  /// - Throws: `IncoherenceError` when there are not `factor.size` signs or one is not 1 or -1.
  package init(_ factor: OrthogonalFactor, signs: [Int8]) throws(IncoherenceError) {
    guard signs.count == factor.size else {
      throw .wrongSignCount(size: factor.size, count: signs.count)
    }
    for (index, sign) in signs.enumerated() where abs(Int(sign)) != 1 {
      throw .notASign(index: index, value: sign)
    }
    self.factor = factor
    self.signs = signs
  }

  /// A transform with signs drawn by a generator seeded with `seed`.
  ///
  /// Sign i is the topmost bit of the generator's number i, -1 when it is set.
  package init(_ factor: OrthogonalFactor, seed: UInt64) {
    var generator = RandomGenerator(seed: seed)
    self.factor = factor
    signs = (0..<factor.size).map { _ in generator.next() >> 63 == 0 ? 1 : -1 }
  }

  /// A transform of `size` numbers with stored signs and a factor of its own.
  ///
  /// - Throws: `IncoherenceError` when there is no factor of the size, there are not `size` signs or one
  ///   is not 1 or -1.
  package init(size: Int, signs: [Int8]) throws(IncoherenceError) {
    try self.init(OrthogonalFactor(size: size), signs: signs)
  }

  /// A transform of `size` numbers with signs drawn from `seed` and a factor of its own.
  ///
  /// - Throws: `IncoherenceError` when there is no factor of the size.
  package init(size: Int, seed: UInt64) throws(IncoherenceError) {
    self.init(try OrthogonalFactor(size: size), seed: seed)
  }

  /// The number of floats of scratch memory that `rotate` and `rotateBack` need.
  package func scratchCount(threadCount: Int) -> Int {
    factor.order == 1 ? 0 : threadCount * scratchStride
  }

  /// The floats of scratch memory of one thread, rounded up to whole cache lines of 16.
  private var scratchStride: Int { (size + 15) / 16 * 16 }

  /// Rotates every row x into z = B S x, in place.
  ///
  /// - Parameters:
  ///   - rows: (tokenCount, size).
  ///   - tokenCount: The number of rows.
  ///   - scratch: At least `scratchCount` numbers, overwritten.
  ///   - kernelSet: The kernels to compute with.
  ///   - pool: The threads to compute on.
  /// - Complexity: O(tokenCount * size * (order + log(width))); no allocation.
  package func rotate(
    _ rows: inout Buffer<Float>, tokenCount: Int, scratch: inout Buffer<Float>,
    _ kernelSet: KernelSet, _ pool: WorkerPool
  ) {
    check(rows.count, tokenCount, scratch.count, pool)
    unsafe rotate(
      rows.pointer, stride: size, into: rows.pointer, stride: size, tokenCount: tokenCount,
      scratch: scratch.pointer, kernelSet, pool)
  }

  /// Rotates every row z back into x = S B^T z, in place: the inverse of `rotate`.
  ///
  /// The parameters are those of `rotate`.
  package func rotateBack(
    _ rows: inout Buffer<Float>, tokenCount: Int, scratch: inout Buffer<Float>,
    _ kernelSet: KernelSet, _ pool: WorkerPool
  ) {
    check(rows.count, tokenCount, scratch.count, pool)
    unsafe rotateBack(
      rows.pointer, stride: size, tokenCount: tokenCount, scratch: scratch.pointer, kernelSet, pool)
  }

  private func check(_ count: Int, _ tokenCount: Int, _ scratchCount: Int, _ pool: WorkerPool) {
    precondition(
      tokenCount >= 0 && count >= tokenCount * size
        && scratchCount >= self.scratchCount(threadCount: pool.threadCount),
      "\(tokenCount) x \(size) numbers in \(count), scratch of \(scratchCount)")
  }

  /// Rotates the rows of `source` into `rows`, which may be the same memory.
  ///
  /// The rows are `sourceStride` and `stride` numbers apart.
  @unsafe
  package func rotate(
    _ source: UnsafePointer<Float>, stride sourceStride: Int,
    into rows: UnsafeMutablePointer<Float>, stride: Int, tokenCount: Int,
    scratch: UnsafeMutablePointer<Float>, _ kernelSet: KernelSet, _ pool: WorkerPool
  ) {
    unsafe forEachRow(tokenCount, scratch, pool) { token, scratch, mixers in
      unsafe rotate(
        source + token * sourceStride, into: rows + token * stride, scratch: scratch, kernelSet,
        mixers)
    }
  }

  /// Rotates rows at `rows`, `stride` numbers apart, back in place.
  @unsafe
  package func rotateBack(
    _ rows: UnsafeMutablePointer<Float>, stride: Int, tokenCount: Int,
    scratch: UnsafeMutablePointer<Float>, _ kernelSet: KernelSet, _ pool: WorkerPool
  ) {
    unsafe forEachRow(tokenCount, scratch, pool) { token, scratch, mixers in
      unsafe rotateBack(row: rows + token * stride, scratch: scratch, kernelSet, mixers)
    }
  }

  /// Rotates one row; `mixers` are the threads that share its product with the dense factor, or nil.
  private func rotate(
    _ source: UnsafePointer<Float>, into row: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>, _ kernelSet: KernelSet, _ mixers: WorkerPool?
  ) {
    let kernels = unsafe kernelSet.table
    let signed = unsafe factor.order == 1 ? row : scratch
    unsafe signs.withUnsafeBufferPointer { signs in
      guard let base = signs.baseAddress else { return }
      unsafe kernels.pointee.multiply_signs(base, source, size, signed)
    }
    unsafe kernels.pointee.hadamard(signed, factor.order, factor.width, factor.scale)
    if factor.order > 1 {
      unsafe mix(factor.entries, signed, into: row, kernelSet, mixers)
    }
  }

  /// Rotates one row back in place; the parameters are those of `rotate`.
  @unsafe
  func rotateBack(
    row: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>, _ kernelSet: KernelSet,
    _ mixers: WorkerPool?
  ) {
    let kernels = unsafe kernelSet.table
    let mixed = unsafe factor.order == 1 ? row : scratch
    unsafe kernels.pointee.hadamard(row, factor.order, factor.width, factor.scale)
    if factor.order > 1 {
      unsafe mix(factor.transposed, row, into: mixed, kernelSet, mixers)
    }
    unsafe signs.withUnsafeBufferPointer { signs in
      guard let base = signs.baseAddress else { return }
      unsafe kernels.pointee.multiply_signs(base, mixed, size, row)
    }
  }

  /// Calls `body` for every token with the scratch memory of a thread.
  ///
  /// Several tokens are the parts of one job. For a single token, `body` gets the threads that may share
  /// its product with the dense factor.
  private func forEachRow(
    _ tokenCount: Int, _ scratch: UnsafeMutablePointer<Float>, _ pool: WorkerPool,
    _ body: (
      _ token: Int, _ scratch: UnsafeMutablePointer<Float>, _ mixers: WorkerPool?
    ) -> Void
  ) {
    if tokenCount == 1 {
      unsafe body(0, scratch, pool)
    } else {
      pool.run(tokenCount) { token, worker in
        unsafe body(token, scratch + worker * scratchStride, nil)
      }
    }
  }

  /// The smallest number of multiplications that are split between threads.
  ///
  /// They take about 10 microseconds, several times the cost of a job.
  private static let fewestToShare = 1 << 19

  /// y = F x along the outer axis, x and y (order, width).
  private func mix(
    _ entries: [Float], _ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>,
    _ kernelSet: KernelSet, _ pool: WorkerPool?
  ) {
    let (order, width) = (factor.order, factor.width)
    let kernels = unsafe kernelSet.table
    unsafe entries.withUnsafeBufferPointer { entries in
      guard let entries = entries.baseAddress else { return }
      guard let pool, pool.threadCount > 1, order * size >= Self.fewestToShare else {
        unsafe kernels.pointee.mix_rows(entries, order, order, x, width, width, y)
        return
      }
      // Blocks of 48 rows, a multiple of the rows that the kernels take at a time, by 32 columns, two
      // vectors of the widest set.
      let (height, breadth) = (48, min(32, width))
      let across = width / breadth
      unsafe pool.run(
        (order + height - 1) / height * across,
        with: (entries, x, y, order, width, height, breadth, kernels)
      ) { context, part, _ in
        let (entries, x, y, order, width, height, breadth, kernels) = unsafe context
        let across = width / breadth
        let row = part / across * height
        let column = part % across * breadth
        unsafe kernels.pointee.mix_rows(
          entries + row * order, min(height, order - row), order, x + column, breadth, width,
          y + row * width + column)
      }
    }
  }
}
