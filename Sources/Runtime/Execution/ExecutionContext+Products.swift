internal import COpenBLAS
internal import DuetSystem
internal import Kernels

extension ExecutionContext {
  /// The smallest number of tokens for which BLAS on widened weights is faster than the kernels.
  ///
  /// The kernels read the weights once for every four tokens. `bench -p` with fewer and with more tokens
  /// measures both; docs/performance.md has the figures.
  static var fewestTokensForBLAS: Int { 22 }

  /// Multiplies: output[t, r] = sum over c of weight[r, c] * input[t, c] + bias[r].
  ///
  /// - Parameters:
  ///   - linear: Weights (outputSize, inputSize).
  ///   - input: (tokenCount, inputSize), rows `inputStride` apart.
  ///   - inputStride: At least inputSize.
  ///   - tokenCount: Rows of input and output.
  ///   - scratch: The memory that compressed parts need.
  ///   - output: (tokenCount, outputSize), overwritten.
  /// - Complexity: O(tokenCount * outputSize * inputSize).
  ///
  /// The number of tokens of the call changes the result of a token only by rounding.
  func multiply(
    _ linear: Linear, _ input: borrowing Buffer<Float>, inputStride: Int, tokenCount: Int,
    scratch: inout CompressedScratch, into output: inout Buffer<Float>
  ) {
    precondition(
      inputStride >= linear.inputSize
        && input.count >= (tokenCount - 1) * inputStride + linear.inputSize,
      "input of \(input.count) numbers for \(tokenCount) x \(linear.inputSize)")
    precondition(
      output.count >= tokenCount * linear.outputSize,
      "output of \(output.count) numbers for \(tokenCount) x \(linear.outputSize)")
    let x = unsafe UnsafePointer(input.pointer)
    let y = unsafe output.pointer
    if let weights = linear.compressed {
      unsafe multiply(weights, x, inputStride, tokenCount, &scratch, y)
    }
    unsafe multiplyDense(linear.dense, x, inputStride, tokenCount, y)
    guard let bias = linear.bias else { return }
    forEachToken(tokenCount) { token in
      unsafe bias.withUnsafeBufferPointer { bias in
        guard let base = bias.baseAddress else { return }
        unsafe kernels.pointee.add(base, bias.count, y + token * linear.outputSize)
      }
    }
  }

  /// Multiplies dense matrices that share their input; tokens of `y` are outputSize numbers apart.
  func multiplyDense(
    _ linear: DenseRows, _ x: UnsafePointer<Float>, _ xStride: Int, _ tokenCount: Int,
    _ y: UnsafeMutablePointer<Float>
  ) {
    if linear.parts.isEmpty { return }
    if tokenCount >= Self.fewestTokensForBLAS {
      unsafe multiplyWide(linear, x, xStride, tokenCount, y)
    } else {
      unsafe multiplyNarrow(linear, x, xStride, tokenCount, y)
    }
  }

  /// Multiplies a few tokens: the kernels read the weights once for every four tokens.
  private func multiplyNarrow(
    _ linear: DenseRows, _ x: UnsafePointer<Float>, _ xStride: Int, _ tokenCount: Int,
    _ y: UnsafeMutablePointer<Float>
  ) {
    // 16 parts per thread balance the load when a thread is delayed; a part has at least about 16 KiB.
    let smallest = max(1, 16384 / max(linear.inputSize * 2, 1))
    let partCount = max(1, min(pool.threadCount * 16, linear.outputSize / smallest))
    unsafe pool.run(partCount, with: (linear, x, xStride, tokenCount, y, partCount, kernelSet)) {
      context, part, _ in
      let (linear, x, xStride, tokenCount, y, partCount, kernelSet) = unsafe context
      let rows = Self.share(part, of: partCount, from: linear.outputSize)
      linear.forEachPart(overlapping: rows) { matrix, matrixRows, outputRow in
        var token = 0
        while token < tokenCount {
          let count = min(Int(KERNELS_MAX_TOKENS), tokenCount - token)
          unsafe kernelSet.matvec(matrix.elementType)(
            matrix.pointer(toRow: matrixRows.lowerBound), matrixRows.count, linear.inputSize,
            x + token * xStride, xStride, count, y + token * linear.outputSize + outputRow,
            linear.outputSize)
          token += count
        }
      }
    }
  }

  /// Multiplies many tokens: blocks of weights are widened to Float and multiplied by BLAS.
  ///
  /// A part is a block of rows for a block of tokens; the weights are widened and multiplied some columns at
  /// a time. BLAS packs all activations again for each block of rows, and all weights for each block of
  /// tokens, which costs as much as the products of about 50 rows or tokens. So blocks are large, but there
  /// are at least eight, so that every thread has work. The blocks, and therefore the rounding, depend on the
  /// shape alone.
  private func multiplyWide(
    _ linear: DenseRows, _ x: UnsafePointer<Float>, _ xStride: Int, _ tokenCount: Int,
    _ y: UnsafeMutablePointer<Float>
  ) {
    BLASThreads.useOne()
    let blocks = ProductBlocks(rowCount: linear.outputSize, tokenCount: tokenCount)
    pool.run(blocks.count) { part, worker in
      let (rows, tokens) = (blocks.rows(part), blocks.tokens(part))
      let (input, output) = unsafe (
        x + tokens.lowerBound * xStride, y + tokens.lowerBound * linear.outputSize
      )
      linear.forEachPart(overlapping: rows) { matrix, matrixRows, outputRow in
        let width =
          matrix.elementType == .f32 ? linear.inputSize : Self.widenedCount / matrixRows.count
        for column in stride(from: 0, to: linear.inputSize, by: width) {
          let columns = column..<min(column + width, linear.inputSize)
          let (weights, weightStride) = unsafe widened(matrix, matrixRows, columns, worker)
          unsafe cblas_sgemm(
            CblasRowMajor, CblasNoTrans, CblasTrans, blasint(tokens.count),
            blasint(matrixRows.count), blasint(columns.count), 1, input + column, blasint(xStride),
            weights, blasint(weightStride), column == 0 ? 0 : 1, output + outputRow,
            blasint(linear.outputSize))
        }
      }
    }
  }

  /// A block of weights as Float, and the distance between its rows.
  ///
  /// Weights that are stored as F32 are used in place, others are widened into the scratch memory.
  private func widened(
    _ matrix: DenseMatrix, _ rows: Range<Int>, _ columns: Range<Int>, _ worker: Int
  ) -> (UnsafePointer<Float>, Int) {
    if matrix.elementType == .f32 {
      let stored = unsafe matrix.pointer(toRow: rows.lowerBound)
      let block = unsafe stored.assumingMemoryBound(to: Float.self) + columns.lowerBound
      return unsafe (block, matrix.inputSize)
    }
    let block = unsafe scratch(of: worker)
    for (index, row) in rows.enumerated() {
      let stored = unsafe matrix.pointer(toRow: row)
      unsafe kernelSet.widen(
        stored + columns.lowerBound * matrix.elementType.byteCount, matrix.elementType,
        columns.count, block + index * columns.count)
    }
    return unsafe (UnsafePointer(block), columns.count)
  }

  /// The rows of part `part` when `count` rows are split evenly into `partCount` parts.
  private static func share(_ part: Int, of partCount: Int, from count: Int) -> Range<Int> {
    (part * count / partCount)..<((part + 1) * count / partCount)
  }
}

/// The blocks of rows and tokens that a product is cut into.
private struct ProductBlocks {
  private let rowCount: Int
  private let tokenCount: Int
  private let rowsPerBlock: Int
  private let tokensPerBlock: Int
  private let blocksOfRows: Int

  init(rowCount: Int, tokenCount: Int) {
    var (rows, tokens) = ((rowCount + 1023) / 1024, 1)
    // The longer side of the blocks is halved, down to 32 rows or tokens.
    while rows * tokens < 8 {
      let (height, length) = (rowCount / rows, tokenCount / tokens)
      if max(height, length) < 64 { break }
      if length >= height { tokens *= 2 } else { rows *= 2 }
    }
    self.rowCount = rowCount
    self.tokenCount = tokenCount
    rowsPerBlock = (rowCount + rows - 1) / rows
    tokensPerBlock = (tokenCount + tokens - 1) / tokens
    blocksOfRows = (rowCount + rowsPerBlock - 1) / rowsPerBlock
  }

  var count: Int { blocksOfRows * ((tokenCount + tokensPerBlock - 1) / tokensPerBlock) }

  func rows(_ part: Int) -> Range<Int> {
    let first = part % blocksOfRows * rowsPerBlock
    return first..<min(first + rowsPerBlock, rowCount)
  }

  func tokens(_ part: Int) -> Range<Int> {
    let first = part / blocksOfRows * tokensPerBlock
    return first..<min(first + tokensPerBlock, tokenCount)
  }
}

extension DenseRows {
  /// Calls `body` for each matrix that has some of `rows` of the output.
  ///
  /// `body` gets the matrix, the range of its rows, and the output row of the first of them.
  fileprivate func forEachPart(
    overlapping rows: Range<Int>,
    _ body: (_ matrix: DenseMatrix, _ matrixRows: Range<Int>, _ outputRow: Int) -> Void
  ) {
    for part in parts {
      let (matrix, start) = (part.matrix, part.outputRow)
      let overlap = rows.clamped(to: start..<start + matrix.outputSize)
      if !overlap.isEmpty {
        body(
          matrix, (overlap.lowerBound - start)..<(overlap.upperBound - start), overlap.lowerBound)
      }
    }
  }
}
