internal import DuetSystem
internal import Kernels

/// The memory between the steps of a product with compressed weights.
///
/// Allocated once for all layers of a model and the largest number of tokens; empty for a dense model.
struct CompressedScratch: ~Copyable {
  /// The type of the activations that packed matrices multiply.
  let type: ActivationType
  /// z, (token, inputSize).
  fileprivate let rotated: Buffer<Float>
  /// The inputs of the outlier columns of all parts, (token, columns).
  let gathered: Buffer<Float>
  /// L (R z) of one part in half precision, (token, outputSize).
  fileprivate let half: Buffer<Float>
  /// R z of all parts in half precision, (token, ranks).
  fileprivate let halfProduct: Buffer<Float>
  /// The scratch memory of the rotations, for all threads.
  fileprivate let rotation: Buffer<Float>
  /// The decoded rows of all threads, when activations are in single precision.
  let decodedRows: Buffer<Float>
  /// z in int8.
  fileprivate var inputs: QuantizedActivations
  /// The inputs of the outlier columns in int8.
  fileprivate var outliers: QuantizedActivations
  /// R z of packed factors.
  fileprivate(set) var factors: LowRankScratch

  /// Memory that is large enough for each of `linears`.
  init(_ linears: [Linear], tokenLimit: Int, threadCount: Int, type: ActivationType) {
    let weights = linears.compactMap(\.compressed)
    func most(_ size: (CompressedWeights) -> Int) -> Int { weights.map(size).max() ?? 0 }
    let tokens = weights.isEmpty ? 1 : tokenLimit
    let inputSize = most { $0.linear.inputSize }
    self.type = type
    rotated = Buffer(count: tokens * most { $0.inputRotation?.size ?? 0 })
    gathered = Buffer(count: tokens * most { $0.linear.columns.size })
    half = Buffer(count: tokens * most { $0.halfLefts.map(\.left.outputSize).max() ?? 0 })
    halfProduct = Buffer(count: tokens * most { $0.halfRight?.outputSize ?? 0 })
    rotation = Buffer(
      count: most { weights in
        ([weights.inputRotation] + weights.outputRotations.map(\.rotation))
          .compactMap { $0?.scratchCount(threadCount: threadCount) }.max() ?? 0
      })
    decodedRows = Buffer(
      count: type == .f32 ? threadCount * ExecutionContext.decodedCount(columns: inputSize) : 0)
    inputs = QuantizedActivations(
      tokenCapacity: tokens, segments: [inputSize],
      for: Set(weights.flatMap { $0.linear.parts.compactMap { $0.quantized?.format } }))
    let columnGroups = most { $0.linear.columns.groupCount }
    outliers = QuantizedActivations(
      tokenCapacity: tokens,
      segments: [Int](repeating: Int(KERNELS_ACTIVATION_GROUP), count: columnGroups),
      for: [])
    factors = LowRankScratch(
      groupCount: most { $0.linear.ranks.groupCount }, tokenCapacity: tokens)
  }
}

extension ExecutionContext {
  /// Multiplies the compressed parts of a layer.
  ///
  ///     z = B_in S_in x,      y = S_out B_out^T (Q z + L (R z) + C x_O)
  ///
  /// x is (tokenCount, inputSize), rows `xStride` apart; y is (tokenCount, outputSize); only the rows of
  /// the compressed parts are overwritten.
  ///
  /// - Complexity: O(tokenCount * weights); no allocation.
  func multiply(
    _ weights: CompressedWeights, _ x: UnsafePointer<Float>, _ xStride: Int, _ tokenCount: Int,
    _ scratch: inout CompressedScratch, _ y: UnsafeMutablePointer<Float>
  ) {
    let linear = weights.linear
    var (z, zStride) = unsafe (x, xStride)
    if let rotation = weights.inputRotation {
      let rotated = unsafe scratch.rotated.pointer
      unsafe rotation.rotate(
        x, stride: xStride, into: rotated, stride: linear.inputSize, tokenCount: tokenCount,
        scratch: scratch.rotation.pointer, kernelSet, pool)
      unsafe z = unsafe UnsafePointer(rotated)
      zStride = linear.inputSize
    }
    unsafe gather(linear.channels, x, xStride, tokenCount, into: scratch.gathered)
    switch scratch.type {
    case .int8:
      scratch.inputs.reshape(linear.inputs)
      unsafe quantize(z, zStride, tokenCount, into: &scratch.inputs)
      if !linear.channels.isEmpty {
        scratch.outliers.reshape(linear.columns)
        quantize(scratch.gathered, tokenCount: tokenCount, into: &scratch.outliers)
      }
      unsafe multiply(linear, scratch.inputs, outliers: scratch.outliers, &scratch.factors, y)
    case .f32:
      unsafe multiplyDecoded(linear, z, zStride, tokenCount, scratch, y)
    }
    if let right = weights.halfRight {
      unsafe addHalfFactors(
        weights.halfLefts, right, z, zStride, tokenCount, scratch, y, linear.outputSize)
    }
    if !weights.outputRotations.isEmpty {
      unsafe rotateBack(weights.outputRotations, tokenCount, scratch, y, linear.outputSize)
    }
  }

  /// Copies x_O of all parts, before the rotation, to `gathered`, (tokenCount, channels).
  private func gather(
    _ channels: [Int], _ x: UnsafePointer<Float>, _ xStride: Int, _ tokenCount: Int,
    into gathered: borrowing Buffer<Float>
  ) {
    if channels.isEmpty { return }
    precondition(gathered.count >= tokenCount * channels.count, "\(channels.count) channels")
    let target = unsafe gathered.pointer
    forEachToken(tokenCount) { token in
      for (index, channel) in channels.enumerated() {
        unsafe target[token * channels.count + index] = unsafe x[token * xStride + channel]
      }
    }
  }

  /// y += L (R z) for factors in half precision.
  private func addHalfFactors(
    _ lefts: [CompressedWeights.HalfFactors], _ right: DenseRows, _ z: UnsafePointer<Float>,
    _ zStride: Int, _ tokenCount: Int, _ scratch: borrowing CompressedScratch,
    _ y: UnsafeMutablePointer<Float>, _ yStride: Int
  ) {
    let (product, part) = unsafe (scratch.halfProduct.pointer, scratch.half.pointer)
    unsafe multiplyDense(right, z, zStride, tokenCount, product)
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

  /// The smallest number of outputs for which one job for all parts and tokens is faster.
  ///
  /// Rotating two outputs takes about a nanosecond, starting a job about a microsecond.
  private static let fewestToRotateTogether = 1 << 13

  /// Rotates the outputs of all parts and tokens back, as one job when there are enough of them.
  private func rotateBack(
    _ parts: [CompressedWeights.OutputRotation], _ tokenCount: Int,
    _ scratch: borrowing CompressedScratch, _ y: UnsafeMutablePointer<Float>, _ yStride: Int
  ) {
    let memory = unsafe scratch.rotation.pointer
    if parts.count == 1 || tokenCount * yStride < Self.fewestToRotateTogether {
      for part in parts {
        unsafe part.rotation.rotateBack(
          y + part.outputRow, stride: yStride, tokenCount: tokenCount, scratch: memory, kernelSet,
          pool)
      }
      return
    }
    let scratchStride = scratch.rotation.count / pool.threadCount
    unsafe pool.run(
      parts.count * tokenCount, with: (parts, y, yStride, memory, scratchStride, kernelSet)
    ) { context, index, worker in
      let (parts, y, yStride, memory, scratchStride, kernelSet) = unsafe context
      let (token, number) = index.quotientAndRemainder(dividingBy: parts.count)
      let part = parts[number]
      unsafe part.rotation.rotateBack(
        row: y + token * yStride + part.outputRow, scratch: memory + worker * scratchStride,
        kernelSet, nil)
    }
  }
}
