internal import DuetRuntime

/// The sum of x x^T over the inputs x of a linear layer, as they come in batches.
///
/// The tokens are cut into chunks; the products of a chunk are summed in single precision by BLAS, the
/// chunks in double precision. Of the result only the tiles on and above the diagonal are computed.
/// Tiles and chunks depend on the sizes alone, and so does every bit of the result.
///
/// Accuracy: an element of a chunk's product is a sum of t <= 2048 terms x_i x_j in single precision,
/// off by at most t * 2^-24 * sum of |x_i x_j|, so by 1.2e-4 of sqrt(H_ii H_jj) in the worst case and
/// some 1e-6 typically. The sum over chunks adds nothing to that.
package struct HessianAccumulator: ~Copyable {
  /// The number of inputs.
  package let size: Int
  /// The tokens so far.
  package private(set) var tokenCount = 0

  private let layer: Int
  private let input: String
  private let pool: WorkerPool
  /// (size, size); tiles below the diagonal are zero until the end.
  private var sums: Matrix<Double>
  /// (threadCount, tileSize, tileSize), the product of one tile and chunk.
  private let scratch: Buffer<Float>
  /// The first row and column of every tile on and above the diagonal.
  private let tiles: [(row: Int, column: Int)]

  /// The most tokens that are summed in single precision.
  package static let chunkLength = 2048
  /// The side of a tile.
  ///
  /// The half of a tile on the diagonal is computed in vain, which asks for small tiles; BLAS packs
  /// both its inputs anew for every tile, which asks for large ones. With the same calls of BLAS on one
  /// thread, 4096 inputs and 2048 tokens, 512 took less processor time than 256 or 384.
  private static let tileSize = 512

  /// A sum of nothing.
  ///
  /// - Parameters:
  ///   - size: The number of inputs.
  ///   - layer: The index of the decoder layer, for errors.
  ///   - input: Which input it is, for errors.
  ///   - algebra: Whose threads compute.
  package init(size: Int, layer: Int, input: String, _ algebra: LinearAlgebra) {
    precondition(size > 0, "a Hessian of \(size) inputs")
    self.size = size
    self.layer = layer
    self.input = input
    pool = algebra.pool
    sums = Matrix(rowCount: size, columnCount: size)
    scratch = Buffer(count: pool.threadCount * Self.tileSize * Self.tileSize)
    let starts = Array(stride(from: 0, to: size, by: Self.tileSize))
    tiles = starts.flatMap { row in starts.filter { $0 >= row }.map { (row, $0) } }
  }

  /// Adds x x^T for every token.
  ///
  /// - Parameters:
  ///   - x: (tokenCount, size), rows `stride` apart.
  ///   - stride: At least `size`.
  ///   - tokenCount: The number of rows.
  /// - Throws: `CompressorError.nonFiniteActivations` when a number is infinite or NaN, or so large
  ///   that its square is; the sum is then of no use.
  /// - Complexity: O(tokenCount * size^2 / 2) products.
  package mutating func add(
    _ x: Span<Float>, stride: Int, tokenCount: Int
  ) throws(CompressorError) {
    precondition(
      tokenCount >= 0 && stride >= size
        && (tokenCount == 0 || x.count >= (tokenCount - 1) * stride + size),
      "\(x.count) numbers for \(tokenCount) rows of \(size), \(stride) apart")
    if tokenCount == 0 { return }
    unsafe x.withUnsafeBufferPointer { x in
      guard let base = x.baseAddress else { return }
      for first in Swift.stride(from: 0, to: tokenCount, by: Self.chunkLength) {
        unsafe addChunk(
          base + first * stride, stride, count: min(Self.chunkLength, tokenCount - first))
      }
    }
    self.tokenCount += tokenCount
    // The diagonal shows whatever is wrong: a number that is not finite has no finite square, and
    // |sum of x_i x_j| is at most the root of the product of two elements of the diagonal.
    for index in 0..<size where !sums[index, index].isFinite {
      throw .nonFiniteActivations(layer: layer, input: input)
    }
  }

  /// Adds the products of at most `chunkLength` tokens.
  private func addChunk(_ x: UnsafePointer<Float>, _ stride: Int, count: Int) {
    let size = size
    let (sums, scratch, tiles) = unsafe (sums.pointer, scratch.pointer, tiles)
    pool.run(tiles.count) { part, worker in
      let (row, column) = tiles[part]
      let height = min(Self.tileSize, size - row)
      let width = min(Self.tileSize, size - column)
      let product = unsafe scratch + worker * Self.tileSize * Self.tileSize
      unsafe Float.multiply(
        true, false, height, width, count, 1, x + row, stride, x + column, stride, 0, product, width
      )
      for i in 0..<height {
        let source = unsafe product + i * width
        let target = unsafe sums + (row + i) * size + column
        for j in 0..<width { unsafe target[j] += Double(source[j]) }
      }
    }
  }

  /// The mean of x x^T, which ends the sum.
  ///
  /// - Precondition: There was a token.
  /// - Complexity: O(size^2).
  package consuming func finish() -> Hessian {
    precondition(tokenCount > 0, "a mean over \(tokenCount) tokens")
    let (size, count) = (size, Double(tokenCount))
    let (sums, tiles) = unsafe (sums.pointer, tiles)
    pool.run(tiles.count) { part, _ in
      let (row, column) = tiles[part]
      let (rowEnd, columnEnd) = (min(row + Self.tileSize, size), min(column + Self.tileSize, size))
      // Squares of 32, which fit in the first-level cache in both directions.
      for top in stride(from: row, to: rowEnd, by: 32) {
        for left in stride(from: column, to: columnEnd, by: 32) {
          for i in top..<min(top + 32, rowEnd) {
            // On the diagonal BLAS has computed both halves: the upper one counts.
            for j in max(i, left)..<max(i, left, min(left + 32, columnEnd)) {
              let mean = unsafe sums[i * size + j] / count
              unsafe sums[i * size + j] = mean
              unsafe sums[j * size + i] = mean
            }
          }
        }
      }
    }
    return Hessian(matrix: self.sums, tokenCount: tokenCount)
  }
}
