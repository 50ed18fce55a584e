internal import Kernels

/// The memory between the steps of a product with compressed weights.
///
/// Allocated once for all layers of a model and a number of tokens, and of no size for a dense model.
struct CompressedScratch: ~Copyable {
  /// z, (token, inputSize).
  fileprivate var rotated: Buffer<Float>
  /// The inputs of the outlier columns of all parts, (token, columns).
  fileprivate var gathered: Buffer<Float>
  /// L (R z) of one part in half precision, (token, outputSize).
  fileprivate var half: Buffer<Float>
  /// R z of all parts in half precision, (token, ranks).
  fileprivate var halfProduct: Buffer<Float>
  /// What the rotations of all threads need.
  fileprivate var rotation: Buffer<Float>
  /// z in int8.
  fileprivate var inputs: QuantizedActivations
  /// The inputs of the outlier columns in int8.
  fileprivate var outliers: QuantizedActivations
  /// R z.
  fileprivate var factors: LowRankScratch

  /// Room for every one of `linears`.
  init(_ linears: [Linear], tokenLimit: Int, threadCount: Int) {
    let weights = linears.compactMap(\.compressed)
    func most(_ size: (CompressedWeights) -> Int) -> Int { weights.map(size).max() ?? 0 }
    func groups(_ sizes: [Int]) -> Int {
      let group = Int(KERNELS_ACTIVATION_GROUP)
      return sizes.reduce(0) { $0 + ($1 + group - 1) / group }
    }
    let tokens = weights.isEmpty ? 1 : tokenLimit
    let inputSize = most { $0.linear.inputSize }
    rotated = Buffer(count: tokens * inputSize)
    gathered = Buffer(count: tokens * most { $0.columnCounts.reduce(0, +) })
    half = Buffer(count: tokens * most { $0.halfLefts.map(\.left.outputSize).max() ?? 0 })
    halfProduct = Buffer(count: tokens * most { $0.halfRight?.outputSize ?? 0 })
    rotation = Buffer(
      count: most { weights in
        ([weights.inputRotation] + weights.outputRotations.map(\.rotation))
          .compactMap { $0?.scratchCount(threadCount: threadCount) }.max() ?? 0
      })
    inputs = QuantizedActivations(
      tokenCapacity: tokens, segments: [inputSize],
      inLatticeOrder: weights.contains { weights in
        weights.linear.parts.contains { $0.quantized.format == .e8p }
      })
    let columnGroups = most { groups($0.columnCounts) }
    outliers = QuantizedActivations(
      tokenCapacity: tokens,
      segments: [Int](repeating: Int(KERNELS_ACTIVATION_GROUP), count: columnGroups),
      inLatticeOrder: false)
    factors = LowRankScratch(groupCount: most { groups($0.packedRanks) }, tokenCapacity: tokens)
  }
}

extension ExecutionContext {
  /// Multiplies the compressed parts of a layer.
  ///
  ///     z = B_in S_in x,      y = S_out B_out^T (Q z + L (R z) + C x_O)
  ///
  /// x is (tokenCount, inputSize), rows `xStride` apart; y is (tokenCount, outputSize), of which the rows
  /// of the compressed parts are overwritten.
  ///
  /// - Complexity: O(tokenCount * weights); no allocation of the size of a vector.
  func multiply(
    _ weights: CompressedWeights, _ x: UnsafePointer<Float>, _ xStride: Int, _ tokenCount: Int,
    _ scratch: inout CompressedScratch, _ y: UnsafeMutablePointer<Float>
  ) {
    let linear = weights.linear
    let (inputSize, outputSize) = (linear.inputSize, linear.outputSize)
    unsafe gather(weights, x, xStride, tokenCount, &scratch)
    let z = unsafe scratch.rotated.pointer
    forEachToken(tokenCount) { token in
      unsafe (z + token * inputSize).update(from: x + token * xStride, count: inputSize)
    }
    let rotationScratch = unsafe scratch.rotation.pointer
    if let rotation = weights.inputRotation {
      unsafe rotation.rotate(
        z, stride: inputSize, tokenCount: tokenCount, scratch: rotationScratch, kernelSet, pool)
    }
    scratch.inputs.reshape([inputSize])
    quantize(scratch.rotated, tokenCount: tokenCount, into: &scratch.inputs)
    unsafe multiply(
      linear, scratch.inputs, outliers: scratch.outliers, &scratch.factors, y)
    if let right = weights.halfRight {
      unsafe addHalfFactors(weights.halfLefts, right, z, tokenCount, &scratch, y, outputSize)
    }
    for part in weights.outputRotations {
      unsafe part.rotation.rotateBack(
        y + part.outputRow, stride: outputSize, tokenCount: tokenCount, scratch: rotationScratch,
        kernelSet, pool)
    }
  }

  /// Quantises x_O of all parts, as it is before the rotation.
  private func gather(
    _ weights: CompressedWeights, _ x: UnsafePointer<Float>, _ xStride: Int, _ tokenCount: Int,
    _ scratch: inout CompressedScratch
  ) {
    let counts = weights.columnCounts
    if counts.isEmpty { return }
    let channels = weights.linear.parts.flatMap { $0.columns?.channels ?? [] }
    let gathered = unsafe scratch.gathered.pointer
    for token in 0..<tokenCount {
      for (index, channel) in channels.enumerated() {
        unsafe gathered[token * channels.count + index] = unsafe x[token * xStride + channel]
      }
    }
    scratch.outliers.reshape(counts)
    quantize(scratch.gathered, tokenCount: tokenCount, into: &scratch.outliers)
  }

  /// y += L (R z) for factors in half precision.
  private func addHalfFactors(
    _ lefts: [CompressedWeights.HalfFactors], _ right: DenseRows, _ z: UnsafePointer<Float>,
    _ tokenCount: Int, _ scratch: inout CompressedScratch, _ y: UnsafeMutablePointer<Float>,
    _ yStride: Int
  ) {
    let (product, part) = unsafe (scratch.halfProduct.pointer, scratch.half.pointer)
    unsafe multiplyDense(right, z, right.inputSize, tokenCount, product)
    for factors in lefts {
      let size = factors.left.outputSize
      unsafe multiplyDense(
        factors.left, product + factors.productRow, right.outputSize, tokenCount, part)
      forEachToken(tokenCount) { token in
        unsafe kernels.pointee.add(
          part + token * size, size, y + token * yStride + factors.outputRow)
      }
    }
  }
}
