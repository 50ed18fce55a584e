internal import Kernels

extension ExecutionContext {
  /// Quantises the vectors of `tokenCount` tokens to int8 groups.
  ///
  /// - Parameters:
  ///   - input: (tokenCount, sum of the segments), row-major: the vectors of a token one after the other.
  ///   - tokenCount: Rows of the input, at most the capacity of `activations`.
  ///   - activations: Overwritten.
  /// - Complexity: O(tokenCount * inputSize).
  package func quantize(
    _ input: borrowing Buffer<Float>, tokenCount: Int,
    into activations: inout QuantizedActivations
  ) {
    let size = activations.segments.reduce(0, +)
    precondition(
      tokenCount <= activations.tokenCapacity && input.count >= tokenCount * size,
      "\(input.count) numbers for \(tokenCount) x \(size) of \(activations.tokenCapacity) tokens")
    activations.tokenCount = tokenCount
    let x = unsafe UnsafePointer(input.pointer)
    // A closure cannot capture an inout noncopyable value.
    unsafe quantize(x, size, activations)
  }

  private func quantize(
    _ x: UnsafePointer<Float>, _ size: Int, _ activations: borrowing QuantizedActivations
  ) {
    let table = unsafe kernels
    forEachToken(activations.tokenCount) { token in
      var start = token * size
      for (segment, size) in activations.segments.enumerated() {
        unsafe activations.fill(segment: segment, token: token, from: x + start, table)
        start += size
      }
    }
  }

  /// Multiplies: output[t] = Q z[t] + L (R z[t]) for every part of `linear`.
  ///
  /// Two jobs: all R z, whose result is quantised like z; then the rows of every Q with those of its L
  /// added before a row is written. All parts of `linear` are one job, and so are all blocks of tokens.
  ///
  /// - Parameters:
  ///   - linear: The decomposed weights (outputSize, inputSize), without outlier columns.
  ///   - activations: z, (tokenCount, inputSize): one segment.
  ///   - scratch: Room for R z, of `linear` and as many tokens.
  ///   - output: (tokenCount, outputSize), overwritten.
  /// - Complexity: O(tokenCount * (outputSize * inputSize + rank * (outputSize + inputSize))).
  ///
  /// The result of a token depends neither on the threads, nor on the kernel set, nor on the tokens that
  /// share the call.
  package func multiply(
    _ linear: PackedLinear, _ activations: borrowing QuantizedActivations,
    scratch: inout LowRankScratch, into output: inout Buffer<Float>
  ) {
    let tokenCount = activations.tokenCount
    precondition(
      output.count >= tokenCount * linear.outputSize,
      "output of \(output.count) numbers for \(tokenCount) x \(linear.outputSize)")
    precondition(!linear.parts.contains { $0.columns != nil }, "columns without their inputs")
    // Without columns nobody reads their inputs.
    let none = QuantizedActivations(tokenCapacity: 1, segments: [], inLatticeOrder: false)
    unsafe multiply(linear, activations, outliers: none, &scratch, output.pointer)
  }

  /// The same with outlier columns: output[t] = Q z[t] + L (R z[t]) + C x_O[t].
  ///
  /// `outliers` are x_O, a segment for every part that has columns; without any they are of no use.
  func multiply(
    _ linear: PackedLinear, _ activations: borrowing QuantizedActivations,
    outliers: borrowing QuantizedActivations, _ scratch: inout LowRankScratch,
    _ output: UnsafeMutablePointer<Float>
  ) {
    let tokenCount = activations.tokenCount
    precondition(
      activations.segments == [linear.inputSize],
      "activations of \(activations.segments) numbers for \(linear.inputSize) columns")
    let rights = linear.parts.compactMap(\.lowRank?.right)
    if !rights.isEmpty {
      scratch.prepare(rights.map(\.outputSize), tokenCount)
      var products: [PackedRows] = []
      var row = 0
      for right in rights {
        let z = unsafe activations.kernelsActivations(segment: 0, for: right.format)
        unsafe products.append(PackedRows(outputRow: row, right, z))
        row += right.outputSize
      }
      unsafe run(products, tokenCount, scratch.product.pointer, outputStride: row)
      scratch.quantizeProduct(tokenCount, self)
    }
    var products: [PackedRows] = []
    var (factor, outlier) = (0, 0)
    for part in linear.parts {
      let z = unsafe activations.kernelsActivations(segment: 0, for: part.quantized.format)
      var rows = unsafe PackedRows(outputRow: part.outputRow, part.quantized, z)
      if let left = part.lowRank?.left {
        unsafe rows.add(
          left, scratch.activations.kernelsActivations(segment: factor, for: left.format))
        factor += 1
      }
      if let columns = part.columns {
        unsafe rows.add(
          columns.weights,
          outliers.kernelsActivations(segment: outlier, for: columns.weights.format))
        outlier += 1
      }
      products.append(rows)
    }
    unsafe run(products, tokenCount, output, outputStride: linear.outputSize)
  }

  /// Every product of a list as one job, cut into blocks of tokens and of rows.
  private func run(
    _ products: [PackedRows], _ tokenCount: Int, _ y: UnsafeMutablePointer<Float>,
    outputStride: Int
  ) {
    let pieces = PackedPieces(products, tokenCount: tokenCount, threadCount: pool.threadCount)
    let table = unsafe kernels
    pool.run(pieces.count) { index, _ in
      let (product, rows, tokens) = pieces.piece(index)
      let place = tokens.lowerBound * outputStride + product.outputRow + rows.lowerBound
      unsafe product.terms.span.withUnsafeBufferPointer { terms in
        guard let base = terms.baseAddress else { return }
        unsafe kernels_packed_product(
          table, base, product.termCount, rows.lowerBound, rows.count, tokens.lowerBound,
          tokens.count, y + place, outputStride)
      }
    }
  }
}

/// The memory of R z between the two halves of a product: as Float, then quantised.
package struct LowRankScratch: ~Copyable {
  let product: Buffer<Float>
  var activations: QuantizedActivations

  /// Room for the products of `linear` with `tokenCapacity` tokens.
  package init(_ linear: PackedLinear, tokenCapacity: Int) {
    let ranks = linear.parts.compactMap { $0.lowRank?.rank }
    product = Buffer(count: ranks.reduce(0, +) * tokenCapacity)
    activations = QuantizedActivations(
      tokenCapacity: tokenCapacity, segments: ranks,
      inLatticeOrder: linear.parts.contains { $0.lowRank?.left.format == .e8p })
  }

  /// Room for the products of any layers whose ranks fill no more than `groupCount` groups of 128 for a
  /// token.
  init(groupCount: Int, tokenCapacity: Int) {
    let segments = [Int](repeating: Int(KERNELS_ACTIVATION_GROUP), count: groupCount)
    product = Buffer(count: segments.reduce(0, +) * tokenCapacity)
    // Factors are of integers.
    activations = QuantizedActivations(
      tokenCapacity: tokenCapacity, segments: segments, inLatticeOrder: false)
  }

  mutating func prepare(_ ranks: [Int], _ tokenCount: Int) {
    activations.reshape(ranks)
    precondition(
      activations.tokenCapacity >= tokenCount
        && product.count >= ranks.reduce(0, +) * tokenCount,
      "scratch for \(activations.tokenCapacity) tokens, not \(ranks) and \(tokenCount)")
  }

  mutating func quantizeProduct(_ tokenCount: Int, _ context: borrowing ExecutionContext) {
    context.quantize(product, tokenCount: tokenCount, into: &activations)
  }
}
