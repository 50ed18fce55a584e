internal import DuetRuntime
internal import DuetSystem

/// The sum of x x^T over the inputs x of a linear layer, which are added in batches.
///
/// Uses a `TiledSum` of which only the tiles on and above the diagonal are computed.
///
/// Accuracy: an element of a chunk's product is a sum of t <= 2048 terms x_i x_j in single precision,
/// off by at most t * 2^-24 * sum of |x_i x_j|, so by 1.2e-4 of sqrt(H_ii H_jj) in the worst case and
/// about 1e-6 typically. The sum over chunks, in double precision, adds no error that matters.
package struct HessianAccumulator: ~Copyable {
  /// The number of inputs.
  package let size: Int
  /// The number of tokens added so far.
  package private(set) var tokenCount = 0

  private let layer: Int
  private let input: String
  private let pool: WorkerPool
  /// (size, size); tiles below the diagonal are zero until the end.
  private let sum: TiledSum

  /// The most tokens that are summed in single precision.
  package static let chunkLength = TiledSum.chunkLength

  /// An empty sum.
  ///
  /// - Parameters:
  ///   - size: The number of inputs.
  ///   - layer: The index of the decoder layer, for errors.
  ///   - input: Which input it is, for errors.
  ///   - algebra: The threads to compute with.
  package init(size: Int, layer: Int, input: String, _ algebra: LinearAlgebra) {
    precondition(size > 0, "a Hessian of \(size) inputs")
    self.size = size
    self.layer = layer
    self.input = input
    pool = algebra.pool
    sum = TiledSum(rowCount: size, columnCount: size, isSymmetric: true, pool)
  }

  /// Adds x x^T for every token.
  ///
  /// - Parameters:
  ///   - x: (tokenCount, size), rows `stride` apart.
  ///   - stride: At least `size`.
  ///   - tokenCount: The number of rows.
  /// - Throws: `CompressionDataError.nonFiniteActivations` when a number is infinite or NaN, or so large
  ///   that its square is infinite; the sum cannot be used afterwards.
  /// - Complexity: O(tokenCount * size^2 / 2) products.
  package mutating func add(
    _ x: Span<Float>, stride: Int, tokenCount: Int
  ) throws(CompressionDataError) {
    precondition(
      tokenCount >= 0 && stride >= size
        && (tokenCount == 0 || x.count >= (tokenCount - 1) * stride + size),
      "\(x.count) numbers for \(tokenCount) rows of \(size), \(stride) apart")
    if tokenCount == 0 { return }
    unsafe x.withUnsafeBufferPointer { x in
      guard let base = x.baseAddress else { return }
      unsafe sum.add(base, stride: stride, base, stride: stride, tokenCount: tokenCount)
    }
    self.tokenCount += tokenCount
    // It is enough to check the diagonal: a number that is not finite has no finite square, and
    // |sum of x_i x_j| is at most the root of the product of two elements of the diagonal.
    for index in 0..<size where !sum.sums[index, index].isFinite {
      throw .nonFiniteActivations(layer: layer, input: input)
    }
  }

  /// Adds x x^T for every token, for rows without gaps: (tokenCount, size).
  ///
  /// - Throws: As above.
  mutating func add(
    _ x: borrowing Buffer<Float>, tokenCount: Int
  ) throws(CompressionDataError) {
    try add(x.span, stride: size, tokenCount: tokenCount)
  }

  /// Ends the sum and returns the mean of x x^T.
  ///
  /// - Precondition: At least one token was added.
  /// - Complexity: O(size^2).
  package consuming func finish() -> Hessian {
    precondition(tokenCount > 0, "a mean over \(tokenCount) tokens")
    let (size, count) = (size, Double(tokenCount))
    let (sums, tiles) = unsafe (sum.sums.pointer, sum.tiles)
    pool.run(tiles.count) { part, _ in
      let (row, column) = (tiles[part].rows.lowerBound, tiles[part].columns.lowerBound)
      let (rowEnd, columnEnd) = (tiles[part].rows.upperBound, tiles[part].columns.upperBound)
      // Squares of 32 x 32: a square and its mirror image fit in the first-level cache.
      for top in stride(from: row, to: rowEnd, by: 32) {
        for left in stride(from: column, to: columnEnd, by: 32) {
          for i in top..<min(top + 32, rowEnd) {
            // BLAS has computed both halves of a tile on the diagonal; the upper one is used.
            for j in max(i, left)..<max(i, left, min(left + 32, columnEnd)) {
              let mean = unsafe sums[i * size + j] / count
              unsafe sums[i * size + j] = mean
              unsafe sums[j * size + i] = mean
            }
          }
        }
      }
    }
    return Hessian(matrix: sum.sums, tokenCount: tokenCount)
  }
}
