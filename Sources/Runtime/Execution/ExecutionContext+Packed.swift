package import DuetSystem
internal import Kernels

extension ExecutionContext {
  /// Quantises the vectors of `tokenCount` tokens to int8 groups.
  ///
  /// - Parameters:
  ///   - input: (tokenCount, sum of the segments), row-major: the vectors of a token one after the other.
  ///   - tokenCount: Rows of the input, at most the capacity of `activations`.
  ///   - activations: Overwritten.
  /// - Complexity: O(tokenCount * inputSize); no allocation.
  package func quantize(
    _ input: borrowing Buffer<Float>, tokenCount: Int,
    into activations: inout QuantizedActivations
  ) {
    let size = activations.segments.size
    precondition(
      input.count >= tokenCount * size,
      "\(input.count) numbers for \(tokenCount) x \(size)")
    unsafe quantize(input.pointer, size, tokenCount, into: &activations)
  }

  /// Quantises the vectors of `tokenCount` tokens at `x`, `stride` numbers apart, to int8 groups.
  func quantize(
    _ x: UnsafePointer<Float>, _ stride: Int, _ tokenCount: Int,
    into activations: inout QuantizedActivations
  ) {
    precondition(
      tokenCount <= activations.tokenCapacity,
      "\(tokenCount) of \(activations.tokenCapacity) tokens")
    activations.tokenCount = tokenCount
    // A closure cannot capture an inout noncopyable value.
    let (memory, segments) = unsafe (activations.memory, activations.segments)
    let table = unsafe kernels
    forEachToken(tokenCount) { token in
      var vector = unsafe x + token * stride
      for (size, firstGroup) in zip(segments.sizes, segments.firstGroups) {
        unsafe memory.fill(
          firstGroup: firstGroup, size: size, token: token, from: vector, table)
        unsafe vector += size
      }
    }
  }

  /// Multiplies: output[t] = Q z[t] + L (R z[t]) for every part of `linear`.
  ///
  /// There are two jobs. The first computes R z of all parts, which is then quantised like z. The second
  /// computes Q z and adds L (R z) to each row before it is written. Each job covers all parts of
  /// `linear` and all blocks of tokens.
  ///
  /// - Parameters:
  ///   - linear: The decomposed weights (outputSize, inputSize), without outlier columns.
  ///   - activations: z, (tokenCount, inputSize): one segment.
  ///   - scratch: Memory for R z of `linear` and at least as many tokens.
  ///   - output: (tokenCount, outputSize), overwritten.
  /// - Complexity: O(tokenCount * (outputSize * inputSize + rank * (outputSize + inputSize))); no
  ///   allocation.
  ///
  /// The result of a token depends neither on the number of threads, nor on the kernel set, nor on the
  /// other tokens of the call.
  package func multiply(
    _ linear: PackedLinear, _ activations: borrowing QuantizedActivations,
    scratch: inout LowRankScratch, into output: inout Buffer<Float>
  ) {
    let tokenCount = activations.tokenCount
    precondition(
      output.count >= tokenCount * linear.outputSize,
      "output of \(output.count) numbers for \(tokenCount) x \(linear.outputSize)")
    precondition(linear.columns.sizes.isEmpty, "columns without their inputs")
    // Without columns, `outliers` is not read.
    unsafe multiply(linear, activations, outliers: activations, &scratch, output.pointer)
  }

  /// Multiplies with outlier columns: output[t] = Q z[t] + L (R z[t]) + C x_O[t].
  ///
  /// `outliers` holds x_O, one segment for each part that has columns; when no part has any, it is not
  /// read.
  func multiply(
    _ linear: PackedLinear, _ activations: borrowing QuantizedActivations,
    outliers: borrowing QuantizedActivations, _ scratch: inout LowRankScratch,
    _ output: UnsafeMutablePointer<Float>
  ) {
    let tokenCount = activations.tokenCount
    precondition(
      activations.segments.size == linear.inputSize && activations.segments.sizes.count == 1,
      "activations of \(activations.segments.sizes) numbers for \(linear.inputSize) columns")
    let inputs = unsafe activations.memory
    if !linear.factorProducts.isEmpty {
      scratch.prepare(linear.ranks, tokenCount)
      unsafe run(
        linear.factorProducts, PackedOperands(inputs: inputs, factors: inputs, outliers: inputs),
        scratch.product.pointer, outputStride: linear.ranks.size)
      scratch.quantizeProduct(tokenCount, self)
    }
    unsafe run(
      linear.products,
      PackedOperands(
        inputs: inputs, factors: scratch.activations.memory, outliers: outliers.memory),
      output, outputStride: linear.outputSize)
  }

  /// Computes all `products` as one job, cut into blocks of tokens and of rows.
  private func run(
    _ products: [PackedRows], _ operands: PackedOperands, _ y: UnsafeMutablePointer<Float>,
    outputStride: Int
  ) {
    let pieces = unsafe PackedPieces(
      products, tokenCount: operands.inputs.tokenCount, threadCount: pool.threadCount)
    unsafe pool.run(pieces.count, with: (pieces, operands, y, outputStride, kernels)) {
      context, index, _ in
      let (pieces, operands, y, outputStride, table) = unsafe context
      let (product, rows, tokens) = pieces.piece(index)
      let place = tokens.lowerBound * outputStride + product.outputRow + rows.lowerBound
      unsafe product.multiply(
        operands, rows: rows, tokens: tokens, y + place, stride: outputStride, table)
    }
  }
}

/// The memory for R z between the two jobs of a product: as Float, then quantised.
package struct LowRankScratch: ~Copyable {
  let product: Buffer<Float>
  var activations: QuantizedActivations

  /// Memory for the products of `linear` with `tokenCapacity` tokens.
  package init(_ linear: PackedLinear, tokenCapacity: Int) {
    product = Buffer(count: linear.ranks.size * tokenCapacity)
    activations = QuantizedActivations(
      tokenCapacity: tokenCapacity, segments: linear.ranks.sizes,
      for: Set(linear.parts.compactMap { $0.lowRank?.left.format }))
  }

  /// Memory for layers whose ranks fill at most `groupCount` groups of 128 numbers for a token.
  init(groupCount: Int, tokenCapacity: Int) {
    let segments = [Int](repeating: Int(KERNELS_ACTIVATION_GROUP), count: groupCount)
    product = Buffer(count: segments.reduce(0, +) * tokenCapacity)
    // Factors are in an integer format.
    activations = QuantizedActivations(
      tokenCapacity: tokenCapacity, segments: segments, for: [])
  }

  mutating func prepare(_ ranks: ActivationSegments, _ tokenCount: Int) {
    activations.reshape(ranks)
    precondition(
      activations.tokenCapacity >= tokenCount && product.count >= ranks.size * tokenCount,
      "scratch for \(activations.tokenCapacity) tokens, not \(ranks.sizes) and \(tokenCount)")
  }

  mutating func quantizeProduct(_ tokenCount: Int, _ context: borrowing ExecutionContext) {
    context.quantize(product, tokenCount: tokenCount, into: &activations)
  }
}
