internal import DuetSystem
internal import Kernels

/// Products of packed matrices with activations in single precision.
///
/// Each row is decoded to Float and multiplied by the dense kernels. This is slow, and its only error is
/// the rounding of sums of floats. A row's sum depends neither on the number of threads nor on the other
/// tokens of the call.
extension ExecutionContext {
  /// The number of rows that are decoded and multiplied together.
  private static let decodedRowCount = PackedLayout.panelRows

  /// The number of floats that a thread needs for matrices of up to `columns` columns.
  ///
  /// They hold the decoded rows and their products with a few tokens.
  static func decodedCount(columns: Int) -> Int {
    decodedRowCount * (columns + Int(KERNELS_MAX_TOKENS))
  }

  /// Multiplies: y = Q z + L (R z) + C x_O, packed factors and columns included.
  ///
  /// z is (tokenCount, inputSize), rows `zStride` apart; x_O is in the scratch. y is (tokenCount,
  /// outputSize), of which only the rows of the parts are overwritten.
  ///
  /// - Complexity: O(tokenCount * weights); every weight is decoded once; no allocation.
  func multiplyDecoded(
    _ linear: PackedLinear, _ z: UnsafePointer<Float>, _ zStride: Int, _ tokenCount: Int,
    _ scratch: borrowing CompressedScratch, _ y: UnsafeMutablePointer<Float>
  ) {
    let (rows, product) = unsafe (scratch.decodedRows.pointer, scratch.factors.product.pointer)
    let gathered = unsafe UnsafePointer(scratch.gathered.pointer)
    let rowsPerWorker = scratch.decodedRows.count / pool.threadCount
    // Where R z and x_O of a part begin in those of all parts.
    var (factor, outlier) = (0, 0)
    for part in linear.parts {
      if let right = part.lowRank?.right {
        forEachPanel(of: right) { panel, worker in
          unsafe multiplyDecoded(
            right, panel, z, zStride, tokenCount, rows + worker * rowsPerWorker,
            product + factor, linear.ranks.size, adding: false)
        }
      }
      let output = unsafe y + part.outputRow
      guard let first = part.quantized ?? part.lowRank?.left else { continue }
      forEachPanel(of: first) { panel, worker in
        let rows = unsafe rows + worker * rowsPerWorker
        if let quantized = part.quantized {
          unsafe multiplyDecoded(
            quantized, panel, z, zStride, tokenCount, rows, output, linear.outputSize,
            adding: false)
        }
        if let left = part.lowRank?.left {
          unsafe multiplyDecoded(
            left, panel, product + factor, linear.ranks.size, tokenCount, rows, output,
            linear.outputSize, adding: part.quantized != nil)
        }
        if let columns = part.columns?.weights {
          unsafe multiplyDecoded(
            columns, panel, gathered + outlier, linear.columns.size, tokenCount, rows, output,
            linear.outputSize, adding: true)
        }
      }
      factor += part.lowRank?.rank ?? 0
      outlier += part.columns?.channels.count ?? 0
    }
  }

  private func forEachPanel(of matrix: PackedMatrix, _ body: (_ panel: Int, _ worker: Int) -> Void)
  {
    pool.run(matrix.layout.panelCount, body)
  }

  /// Multiplies the rows of one panel of `matrix` with all tokens.
  ///
  /// `decoded` is a thread's share of the scratch; `y` is the output of row 0 of the matrix.
  private func multiplyDecoded(
    _ matrix: PackedMatrix, _ panel: Int, _ x: UnsafePointer<Float>, _ xStride: Int,
    _ tokenCount: Int, _ decoded: UnsafeMutablePointer<Float>, _ y: UnsafeMutablePointer<Float>,
    _ yStride: Int, adding: Bool
  ) {
    let columns = matrix.inputSize
    let first = panel * Self.decodedRowCount
    let count = min(Self.decodedRowCount, matrix.outputSize - first)
    for row in 0..<count {
      var numbers = unsafe MutableSpan(_unsafeStart: decoded + row * columns, count: columns)
      matrix.dequantize(row: first + row, into: &numbers)
    }
    let sums = unsafe decoded + Self.decodedRowCount * columns
    for token in stride(from: 0, to: tokenCount, by: Int(KERNELS_MAX_TOKENS)) {
      let tokens = min(Int(KERNELS_MAX_TOKENS), tokenCount - token)
      unsafe kernels.pointee.matvec_f32(
        decoded, count, columns, x + token * xStride, xStride, tokens, sums, count)
      for t in 0..<tokens {
        let target = unsafe y + (token + t) * yStride + first
        if adding {
          unsafe kernels.pointee.add(sums + t * count, count, target)
        } else {
          unsafe target.update(from: sums + t * count, count: count)
        }
      }
    }
  }
}
