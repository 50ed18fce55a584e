import DuetRuntime
import DuetSystem
import Kernels

/// A call of one function of a kernel set on memory of its own, to be timed.
///
/// `KernelCall.elementwise(_:)` is the list of the functions that stay in the cache and
/// `KernelCall.dense(_:byteCount:)` that of the products that come from memory; a function that is added
/// to the table joins one of them.
struct KernelCall {
  /// The name of the function in the table.
  let name: String
  /// The sizes, as a person reads them.
  let shape: String
  /// The bytes that a call reads and writes.
  let byteCount: Int
  /// The bytes that a call reads, which the plain read loop reads in its place.
  let readByteCount: Int
  /// The additions and multiplications of a call, where they are what it is about; else 0.
  let operationCount: Int

  /// What the plain read loop reads: the same memory, or as much.
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

  /// Calls the function once; products share their rows among the threads of `context`.
  func run(_ context: borrowing ExecutionContext) { body(context.pool) }

  /// Reads the bytes that a call reads, again and again if they are few, and returns their number.
  func read(_ context: borrowing ExecutionContext) -> Int {
    let lineCount = regions.reduce(0) { $0 + $1.lineCount }
    // Starting a job takes as long as reading tens of kilobytes from a cache: 8 MiB make it vanish.
    let times = min(max((8 << 20) / MemoryRegion.lineByteCount / max(lineCount, 1), 1), 2048)
    return MachineProbe.read((0..<times).flatMap { _ in regions }, context).byteCount
  }
}

extension KernelCall {
  /// One token times `matrix`, on the calling thread, without quantising its input.
  ///
  /// - Parameters:
  ///   - matrix: Small enough for the cache that is to be measured.
  ///   - kernelSet: The kernels.
  /// - Returns: A call that the plain read loop over codes and scales stands for.
  static func packed(_ matrix: PackedMatrix, _ kernelSet: KernelSet) -> KernelCall {
    let table = unsafe kernelSet.table
    let input = MachineProbe.gaussians(count: matrix.inputSize)
    var activations = QuantizedActivations(
      tokenCapacity: 1, segments: [matrix.inputSize], inLatticeOrder: matrix.format == .e8p)
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

  /// The products of dense matrices, each with a matrix of about `byteCount` bytes.
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

/// What a packed product works on.
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

/// What a dense product works on.
private final class DenseOperands {
  let weights: Buffer<UInt8>
  let input: Buffer<Float>
  let output: Buffer<Float>

  init(weightByteCount: Int, rows: Int, columns: Int) {
    weights = Buffer(count: weightByteCount)
    input = MachineProbe.gaussians(count: columns)
    output = Buffer(count: rows)
    // 0x34 in every byte is an ordinary number of all three types: 0.26 in F16, 1.7e-7 in the others.
    // Writing it puts memory behind pages that would otherwise all be one page of zeros.
    unsafe weights.pointer.update(repeating: 0x34, count: weightByteCount)
  }
}

extension MachineProbe {
  /// `count` numbers of about the normal distribution, the same in every run.
  ///
  /// Sums of four uniform numbers, scaled to mean 0 and variance 1; they repeat after 65,521, a prime,
  /// so that no two tokens are alike.
  static func gaussians(count: Int) -> Buffer<Float> {
    let period = 65521
    var generator = RandomGenerator(seed: 1)
    let numbers = Buffer<Float>(count: count)
    for index in 0..<min(period, count) {
      let bits = generator.next()
      let sum = (0..<4).reduce(0) { $0 + Double(bits >> UInt64(16 * $1) & 0xFFFF) }
      // The variance of a uniform number of 0 ..< 65536 is 65536^2 / 12, of four a third of 65536^2.
      unsafe numbers.pointer[index] = Float((sum / 65536 - 2) * 3.0.squareRoot())
    }
    for index in stride(from: period, to: count, by: 1) {
      unsafe numbers.pointer[index] = unsafe numbers.pointer[index - period]
    }
    return numbers
  }
}
