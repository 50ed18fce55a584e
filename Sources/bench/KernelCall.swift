import DuetRuntime
import DuetSystem
import Kernels

/// A call of one function of a kernel set, with its operands, to be timed.
///
/// `KernelCall.elementwise(_:)` and `KernelCall.attention(_:)` list the functions whose operands fit in
/// the cache, and `KernelCall.dense(_:byteCount:)` the products of matrices in memory. A function that
/// is added to the kernel table must be added to one of them.
struct KernelCall {
  /// The name of the function in the table.
  let name: String
  /// The sizes as text.
  let shape: String
  /// The number of bytes that a call reads and writes.
  let byteCount: Int
  /// The number of bytes that a call reads, which the read loop is compared with.
  let readByteCount: Int
  /// The number of additions and multiplications of a call, or 0 where it means little.
  let operationCount: Int

  /// The regions that the read loop reads: the memory of the call, or the same number of bytes.
  private let regions: [MemoryRegion]
  private let body: (WorkerPool) -> Void

  init(
    _ name: String, _ shape: String, byteCount: Int, readByteCount: Int? = nil,
    operationCount: Int = 0, reading regions: [MemoryRegion], _ body: @escaping (WorkerPool) -> Void
  ) {
    self.name = name
    self.shape = shape
    self.byteCount = byteCount
    self.readByteCount = readByteCount ?? byteCount
    self.operationCount = operationCount
    self.regions = regions
    self.body = body
  }

  /// Calls the function once; products divide their rows among the threads of `context`.
  func run(_ context: borrowing ExecutionContext) { body(context.pool) }

  /// Reads the bytes that a call reads, repeatedly if they are few, and returns their number.
  func read(_ context: borrowing ExecutionContext) -> Int {
    let lineCount = regions.reduce(0) { $0 + $1.lineCount }
    // Starting a job takes as long as reading tens of kilobytes from a cache; next to 8 MiB this is
    // negligible.
    let times = min(max((8 << 20) / MemoryRegion.lineByteCount / max(lineCount, 1), 1), 2048)
    return MachineProbe.read((0..<times).flatMap { _ in regions }, context).byteCount
  }
}

extension KernelCall {
  /// Makes the product of `matrix` and one token that is already quantised, on the calling thread.
  ///
  /// - Parameters:
  ///   - matrix: A matrix that fits in the cache to measure.
  ///   - kernelSet: The kernels.
  /// - Returns: The call; its read loop reads the codes and scales.
  static func packed(_ matrix: PackedMatrix, _ kernelSet: KernelSet) -> KernelCall {
    let table = unsafe kernelSet.table
    let input = MachineProbe.gaussians(count: matrix.inputSize)
    var activations = QuantizedActivations(
      tokenCapacity: 1, segments: [matrix.inputSize], for: [matrix.format])
    ExecutionContext(kernelSet: kernelSet, threadCount: 1).quantize(
      input, tokenCount: 1, into: &activations)
    let memory = PackedProductMemory(activations, outputSize: matrix.outputSize)
    return KernelCall(
      "packed_matvec \(matrix.format.rawValue)",
      "\(matrix.outputSize) x \(matrix.inputSize), group \(matrix.groupSize.rawValue)",
      byteCount: matrix.byteCount, operationCount: 2 * matrix.outputSize * matrix.inputSize,
      reading: MachineProbe.regions(of: matrix)
    ) { _ in
      unsafe memory.multiply(matrix, table)
    }
  }

  /// The products of dense matrices, each of about `byteCount` bytes.
  static func dense(_ kernelSet: KernelSet, byteCount: Int) -> [KernelCall] {
    let table = unsafe kernelSet.table
    return [
      unsafe dense("matvec_f32", table.pointee.matvec_f32, elementByteCount: 4, byteCount),
      unsafe dense("matvec_f16", table.pointee.matvec_f16, elementByteCount: 2, byteCount),
      unsafe dense("matvec_bf16", table.pointee.matvec_bf16, elementByteCount: 2, byteCount),
    ]
  }

  private static func dense(
    _ name: String, _ product: @escaping kernels_matvec, elementByteCount: Int, _ byteCount: Int
  ) -> KernelCall {
    let columns = 4096
    let rows = byteCount / (columns * elementByteCount)
    let memory = DenseOperands(
      weightByteCount: rows * columns * elementByteCount, rows: rows, columns: columns)
    return unsafe KernelCall(
      name, "\(rows) x \(columns)", byteCount: rows * columns * elementByteCount,
      operationCount: 2 * rows * columns,
      reading: [MemoryRegion(memory.weights.pointer, rows * columns * elementByteCount)]
    ) { pool in
      let partCount = pool.threadCount * 16
      pool.run(partCount) { part, _ in
        let first = part * rows / partCount
        let count = (part + 1) * rows / partCount - first
        unsafe product(
          memory.weights.pointer + first * columns * elementByteCount, count, columns,
          memory.input.pointer, columns, 1, memory.output.pointer + first, rows)
      }
    }
  }
}

/// The operands of a packed product other than its matrix.
private final class PackedProductMemory {
  private let activations: QuantizedActivations
  private let output: Buffer<Float>

  init(_ activations: consuming QuantizedActivations, outputSize: Int) {
    self.activations = activations
    output = Buffer(count: outputSize)
  }

  func multiply(_ matrix: PackedMatrix, _ kernels: UnsafePointer<kernels_set>) {
    let z = unsafe activations.kernelsActivations(segment: 0, for: matrix.format)
    unsafe withUnsafePointer(
      to: kernels_term(weight: matrix.kernelsPacked, activations: z)
    ) { term in
      unsafe kernels_packed_product(
        kernels, term, 1, 0, matrix.outputSize, 0, 1, output.pointer, matrix.outputSize)
    }
  }
}

/// The operands of a dense product.
private final class DenseOperands {
  let weights: Buffer<UInt8>
  let input: Buffer<Float>
  let output: Buffer<Float>

  init(weightByteCount: Int, rows: Int, columns: Int) {
    weights = Buffer(count: weightByteCount)
    input = MachineProbe.gaussians(count: columns)
    output = Buffer(count: rows)
    // 0x34 in every byte is a normal number of all three types: 0.26 in F16, 1.7e-7 in the others.
    // Before they are written, all pages would be mapped to one physical page of zeros.
    unsafe weights.pointer.update(repeating: 0x34, count: weightByteCount)
  }
}

extension MachineProbe {
  /// `count` numbers of approximately the normal distribution, the same in every run.
  ///
  /// They are sums of four uniform numbers, scaled to mean 0 and variance 1. They repeat after 65,521
  /// numbers, a prime, so that the tokens of a prompt differ.
  static func gaussians(count: Int) -> Buffer<Float> {
    let period = 65521
    var generator = RandomGenerator(seed: 1)
    let numbers = Buffer<Float>(count: count)
    for index in 0..<min(period, count) {
      let bits = generator.next()
      let sum = (0..<4).reduce(0) { $0 + Double(bits >> UInt64(16 * $1) & 0xFFFF) }
      // The variance of a uniform number of 0 ..< 65536 is 65536^2 / 12, of the sum of four 65536^2 / 3.
      unsafe numbers.pointer[index] = Float((sum / 65536 - 2) * 3.0.squareRoot())
    }
    for index in stride(from: period, to: count, by: 1) {
      unsafe numbers.pointer[index] = unsafe numbers.pointer[index - period]
    }
    return numbers
  }
}
