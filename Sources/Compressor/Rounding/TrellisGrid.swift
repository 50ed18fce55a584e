package import DuetRuntime
internal import DuetSystem
internal import Kernels
internal import Synchronization

/// The values of a trellis code: scale * (a sum of bits, which rows share), a column of 64 rows at a time.
///
/// A column is rounded by the algorithm of Viterbi: among all bits of a tile it finds those whose values lie
/// nearest to the column, errors weighted with the squares of the rows' scales. The bits of a tile go
/// around, so it runs twice, once to find where the circle is cut; see `kernels_set.round_trellis`.
///
/// Accuracy: the share of the variance that Gaussian numbers lose is in `TrellisGridTests`.
///
/// Source: Tseng et al., QTIP, arXiv:2406.11235, sections 3 and 4, with other codes; see Trellis.h.
package struct TrellisGrid: RoundingGrid {
  private let memories: TrellisMemories
  /// The scale of a row whose root mean square is 1.
  private let deviation: Float

  /// The grid of a trellis code; all kernel sets give identical results.
  ///
  /// - Precondition: The format is a trellis code.
  package init(_ format: WeightFormat, _ kernelSet: KernelSet = .standard) {
    precondition(format.coding == .trellis, "\(format.rawValue) is no trellis code")
    memories = TrellisMemories(format, kernelSet)
    deviation = TrellisCode(format).deviation
  }

  package var step: Int { 1 }
  package var rowStep: Int { TrellisCode.tileRows }

  /// An addition, a multiplication with another addition, and a comparison for each of 4096 windows, in a pass
  /// over all rows and one over as many again.
  package var operationsPerWeight: Double { 2 * 3 * 4096 }

  /// The scales are multiples of the weighted root mean squares of the rows, the best for Gaussian numbers.
  package func fitScales(
    _ x: UnsafePointer<Float>, columns: Int, rows: Int, stride: Int,
    weights: UnsafePointer<Float>, scales: UnsafeMutablePointer<Float>
  ) {
    for first in Swift.stride(from: 0, to: rows, by: 16) {
      let mean = unsafe SIMD16<Float>.rootMeanSquare(
        x + first, columns: columns, stride: stride, weights: weights)
      let stored = (mean * deviation).storedAsHalf
      for lane in 0..<min(16, rows - first) { unsafe scales[first + lane] = stored[lane] }
    }
  }

  package func round(
    _ x: UnsafePointer<Float>, columns: Int, rows: Int, stride: Int,
    scales: UnsafePointer<Float>, values: UnsafeMutablePointer<Float>
  ) {
    let memory = memories.take()
    defer { memories.giveBack(memory) }
    for column in 0..<columns {
      let (source, target) = unsafe (x + column * stride, values + column * stride)
      for first in Swift.stride(from: 0, to: rows, by: rowStep) {
        unsafe memory.round(
          source + first, scales + first, rows: min(rowStep, rows - first), into: target + first)
      }
    }
  }
}

/// The memories of threads that round to one trellis code, kept from one column to the next.
final class TrellisMemories: Sendable {
  private let format: WeightFormat
  private let kernelSet: KernelSet
  private let free = Mutex<[TrellisMemory]>([])

  init(_ format: WeightFormat, _ kernelSet: KernelSet = .standard) {
    self.format = format
    self.kernelSet = kernelSet
  }

  /// A memory that no other thread has.
  func take() -> TrellisMemory {
    free.withLock { $0.popLast() } ?? TrellisMemory(format, kernelSet)
  }

  /// Gives a memory back for others.
  func giveBack(_ memory: TrellisMemory) { free.withLock { $0.append(memory) } }
}

/// The memory in which tiles of one trellis code are rounded, by one thread at a time.
final class TrellisMemory: @unchecked Sendable {
  private let format: kernels_format
  private let kernelSet: KernelSet
  private let scratch: Buffer<Float>
  /// 64 numbers, 64 scales and 64 results, for tiles that end before their last row.
  private let padded = Buffer<Float>(count: 3 * TrellisCode.tileRows)

  init(_ format: WeightFormat, _ kernelSet: KernelSet) {
    self.format = format.kernelsFormat
    self.kernelSet = kernelSet
    scratch = Buffer(count: Int(KERNELS_TRELLIS_SCRATCH))
  }

  /// Rounds the rows of a tile that are there.
  @unsafe
  func round(
    _ x: UnsafePointer<Float>, _ scales: UnsafePointer<Float>, rows: Int,
    into target: UnsafeMutablePointer<Float>
  ) {
    let tileRows = TrellisCode.tileRows
    if rows == tileRows {
      unsafe kernelSet.table.pointee.round_trellis(
        format, x, scales, scratch.pointer, target, nil)
      return
    }
    let (numbers, rowScales) = unsafe (padded.pointer, padded.pointer + tileRows)
    let results = unsafe padded.pointer + 2 * tileRows
    for row in 0..<tileRows {
      unsafe numbers[row] = row < rows ? unsafe x[row] : 0
      unsafe rowScales[row] = row < rows ? unsafe scales[row] : 0
    }
    unsafe kernelSet.table.pointee.round_trellis(
      format, numbers, rowScales, scratch.pointer, results, nil)
    unsafe target.update(from: results, count: rows)
  }
}
