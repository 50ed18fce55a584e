internal import DuetSystem
internal import Kernels

/// The whole cache lines of a region of memory, for the plain read loop.
///
/// The reader must keep the memory alive.
@safe
package struct MemoryRegion: Sendable {
  /// The address of the first whole line.
  private let first: UInt
  /// The number of lines.
  package let lineCount: Int

  /// The size of a cache line in bytes.
  package static let lineByteCount = 64

  /// The `byteCount` bytes from `start` on, without those before the first and after the last line.
  package init(_ start: UnsafeRawPointer, _ byteCount: Int) {
    let line = UInt(Self.lineByteCount)
    let address = UInt(bitPattern: start)
    first = (address + line - 1) / line * line
    lineCount = max(0, Int((address + UInt(byteCount)) &- first) / Self.lineByteCount)
  }

  /// The address of line `index`.
  @unsafe
  func pointer(toLine index: Int) -> UnsafeRawPointer? {
    unsafe UnsafeRawPointer(bitPattern: first + UInt(index * Self.lineByteCount))
  }
}

extension MachineProbe {
  /// Reads codes, scales and offsets of `matrices`, doing nothing else with them.
  ///
  /// - Parameters:
  ///   - matrices: The matrices to read, in this order.
  ///   - context: The kernel set and the threads that read.
  /// - Returns: The bytes read, and a sum of them that keeps the loop from being optimised away.
  package static func read(
    _ matrices: [PackedMatrix], _ context: borrowing ExecutionContext
  ) -> (byteCount: Int, sum: UInt64) {
    read(matrices.flatMap(regions(of:)), context)
  }

  /// Reads `regions` as one job, split into runs of lines long enough for the hardware prefetcher.
  package static func read(
    _ regions: [MemoryRegion], _ context: borrowing ExecutionContext
  ) -> (byteCount: Int, sum: UInt64) {
    let pool = context.pool
    let kernels = unsafe context.kernels
    let lineCount = regions.reduce(0) { $0 + $1.lineCount }
    // 16 runs per thread balance the load when a thread is delayed, as for the products. Runs above 1
    // MiB are no faster; below 64 KiB taking a run costs more than reading it.
    let runLength = min(max(lineCount / (pool.threadCount * 16), 1024), 16384)
    var runs: [(region: Int, lines: Range<Int>)] = []
    for (index, region) in regions.enumerated() {
      for first in stride(from: 0, to: region.lineCount, by: runLength) {
        runs.append((index, first..<min(first + runLength, region.lineCount)))
      }
    }
    let sums = Buffer<UInt64>(count: pool.threadCount * 8)
    pool.run(runs.count) { index, worker in
      let (region, lines) = runs[index]
      guard let address = unsafe regions[region].pointer(toLine: lines.lowerBound) else { return }
      unsafe sums.pointer[worker * 8] &+= unsafe kernels.pointee.read_bytes(
        address, lines.count * MemoryRegion.lineByteCount)
    }
    return (
      lineCount * MemoryRegion.lineByteCount,
      (0..<pool.threadCount).reduce(0) { $0 &+ sums[$1 * 8] }
    )
  }

  /// The peak of the kernel set's dot product, counting two operations for a multiply-add.
  ///
  /// Bytes are multiplied in registers on every thread of the pool at once. No product of packed
  /// matrices can be faster.
  ///
  /// - Parameters:
  ///   - context: The kernel set and the threads that multiply.
  ///   - duration: How long to multiply at least.
  /// - Returns: Operations per second.
  package static func multiplicationPeak(
    _ context: borrowing ExecutionContext, for duration: Duration
  ) -> Double {
    let kernels = unsafe context.kernels
    let clock = ContinuousClock()
    // Parts of about 0.1 ms keep all threads busy to the end, even when one of them is delayed.
    let roundCount = 1 << 14
    let partCount = context.pool.threadCount * 16
    let sinks = Buffer<Int32>(count: context.pool.threadCount * 16)
    let products = Buffer<UInt64>(count: context.pool.threadCount * 8)
    let start = clock.now
    repeat {
      context.pool.run(partCount) { _, worker in
        unsafe products.pointer[worker * 8] += unsafe kernels.pointee.multiply_bytes(
          roundCount, sinks.pointer + worker * 16)
      }
    } while start.duration(to: clock.now) < duration
    let seconds = start.duration(to: clock.now) / .seconds(1)
    let total = (0..<context.pool.threadCount).reduce(0) { $0 + products[$1 * 8] }
    return 2 * Double(total) / seconds
  }

  /// The peak of the dot product with the kernels and threads of a session.
  package static func multiplicationPeak(
    _ session: borrowing Session, for duration: Duration
  ) -> Double {
    multiplicationPeak(session.pass.context, for: duration)
  }

  /// The memory of `matrix` that one token reads once.
  package static func regions(of matrix: PackedMatrix) -> [MemoryRegion] {
    let packed = unsafe matrix.kernelsPacked
    let scaleByteCount = 2 * matrix.layout.scaleCount
    var regions = unsafe [
      MemoryRegion(packed.codes, matrix.layout.codeByteCount),
      MemoryRegion(packed.scales, scaleByteCount),
    ]
    if let offsets = unsafe packed.offsets {
      unsafe regions.append(MemoryRegion(offsets, scaleByteCount))
    }
    return regions
  }
}

extension Linear {
  /// The memory of all weights.
  var memoryRegions: [MemoryRegion] {
    var regions = dense.memoryRegions
    guard let compressed else { return regions }
    for part in compressed.linear.parts {
      for matrix in [
        part.quantized, part.lowRank?.left, part.lowRank?.right, part.columns?.weights,
      ] {
        if let matrix { regions += MachineProbe.regions(of: matrix) }
      }
    }
    for factors in compressed.halfLefts { regions += factors.left.memoryRegions }
    return regions + (compressed.halfRight?.memoryRegions ?? [])
  }
}

extension DenseRows {
  /// The memory of all weights.
  fileprivate var memoryRegions: [MemoryRegion] {
    parts.map { unsafe MemoryRegion($0.matrix.pointer(toRow: 0), $0.matrix.byteCount) }
  }
}
