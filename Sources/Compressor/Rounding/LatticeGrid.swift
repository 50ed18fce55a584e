package import DuetRuntime
internal import Kernels

/// The values of e8p: scale * (a point of the codebook), eight columns at a time.
///
/// Where a matrix ends inside a block of eight columns, the missing columns are taken as zeros. They are
/// rounded with the others and then dropped: no reader uses those coordinates of a packed matrix.
///
/// Accuracy: Gaussian numbers lose 0.0914 of their variance at the best scale, see `LatticeGridTests`.
///
/// Source: Tseng et al., QuIP#, arXiv:2402.04396, section 4.2; the codebook is `LatticeCodebook`.
package struct LatticeGrid: RoundingGrid {
  private let kernelSet: KernelSet

  /// A grid that rounds with the kernels of `kernelSet`; all sets give identical results.
  package init(_ kernelSet: KernelSet = .standard) {
    self.kernelSet = kernelSet
  }

  package var step: Int { 8 }

  // MARK: - Rounding

  package func round(
    _ x: UnsafePointer<Float>, columns: Int, rows: Int, stride: Int,
    scales: UnsafePointer<Float>, values: UnsafeMutablePointer<Float>
  ) {
    precondition(columns <= step, "\(columns) columns, at most \(step) are rounded together")
    let whole = columns == step ? rows / 16 * 16 : 0
    unsafe kernelSet.table.pointee.round_e8p(x, scales, whole, stride, values)
    // The rest in padded blocks: the kernel always reads sixteen scales and eight columns.
    for first in Swift.stride(from: whole, to: rows, by: 16) {
      let count = min(16, rows - first)
      var block = Block()
      var rowScales = SIMD16<Float>()
      for lane in 0..<count { rowScales[lane] = unsafe scales[first + lane] }
      unsafe block.fill(x + first, columns: columns, stride: stride)
      let rounded = block.rounded(kernelSet, rowScales)
      for column in 0..<columns {
        for lane in 0..<count {
          unsafe values[column * stride + first + lane] = rounded.columns[column][lane]
        }
      }
    }
  }

  // MARK: - Scales

  /// The candidates, as multiples of the weighted root mean square.
  ///
  /// Thirteen from 0.82 to 1.18 times 0.97, in steps of 3 %. 0.97 is the best for a Gaussian distribution;
  /// half a step from it the error is 0.17 % larger.
  private static let multiples: [Float] = (-6...6).map { 0.97 * (1 + 0.03 * Float($0)) }

  /// The most blocks of eight columns that the candidates are compared on.
  ///
  /// In rows of more than 2048 columns, candidates are compared on 2048 of them, evenly spread. The error of
  /// the chosen multiple is then within 0.1 % of the best one's, see `LatticeGridTests`; with 1024 columns
  /// it is not.
  private static let largestSample = 256

  package func fitScales(
    _ x: UnsafePointer<Float>, columns: Int, rows: Int, stride: Int,
    weights: UnsafePointer<Float>, scales: UnsafeMutablePointer<Float>
  ) {
    for first in Swift.stride(from: 0, to: rows, by: 16) {
      let best = unsafe bestScales(x + first, columns: columns, stride: stride, weights: weights)
      for lane in 0..<min(16, rows - first) { unsafe scales[first + lane] = best[lane] }
    }
  }

  /// The best scales of sixteen rows.
  private func bestScales(
    _ x: UnsafePointer<Float>, columns: Int, stride: Int, weights: UnsafePointer<Float>
  ) -> SIMD16<Float> {
    let center = unsafe SIMD16<Float>.rootMeanSquare(
      x, columns: columns, stride: stride, weights: weights)
    let candidates = Self.multiples.map { (center * $0).storedAsHalf }
    var errors = [SIMD16<Float>](repeating: .zero, count: candidates.count)
    let blockCount = (columns + step - 1) / step
    let sampleCount = min(blockCount, Self.largestSample)
    for sample in 0..<sampleCount {
      let start = sample * blockCount / sampleCount * step
      let count = min(step, columns - start)
      var block = Block()
      unsafe block.fill(x + start * stride, columns: count, stride: stride)
      for (index, candidate) in candidates.enumerated() {
        let rounded = block.rounded(kernelSet, candidate)
        var error = SIMD16<Float>()
        for column in 0..<count {
          let difference = rounded.columns[column] - block.columns[column]
          error += difference * difference * (unsafe weights[start + column])
        }
        errors[index] += error
      }
    }
    // If all errors are equal, as when all weights in the sample are 0, the middle candidate is kept.
    let middle = candidates.count / 2
    var best = candidates[middle]
    var bestError = errors[middle]
    for (candidate, error) in zip(candidates, errors) {
      let improves = error .< bestError
      best.replace(with: candidate, where: improves)
      bestError.replace(with: error, where: improves)
    }
    return best
  }
}

/// Eight columns of sixteen rows, column by column.
private struct Block {
  var columns: [8 of SIMD16<Float>] = .init(repeating: .zero)

  /// Copies `count` columns; the others are not changed.
  mutating func fill(_ x: UnsafePointer<Float>, columns count: Int, stride: Int) {
    for column in 0..<count {
      columns[column] = unsafe UnsafeRawPointer(x + column * stride).loadUnaligned(
        as: SIMD16<Float>.self)
    }
  }

  /// The nearest values: points of the codebook times the scales of the rows.
  func rounded(_ kernelSet: KernelSet, _ scales: SIMD16<Float>) -> Block {
    var result = self
    unsafe withUnsafeMutableBytes(of: &result) { numbers in
      unsafe withUnsafeBytes(of: scales) { scales in
        let numbers = unsafe numbers.assumingMemoryBound(to: Float.self)
        let scales = unsafe scales.assumingMemoryBound(to: Float.self)
        guard let target = numbers.baseAddress, let rowScales = scales.baseAddress else { return }
        unsafe kernelSet.table.pointee.round_e8p(target, rowScales, 16, 16, target)
      }
    }
    return result
  }
}
