internal import DuetRuntime
internal import DuetSystem

/// The sum of x y^T over the tokens, for vectors x and y that can have different sizes.
///
/// The tokens are cut into chunks. The products of a chunk are summed in single precision by BLAS, the
/// chunks in double precision. Tiles and chunks do not depend on the number of threads, and so neither does
/// the result.
struct TiledSum: ~Copyable {
  /// A tile of the sum.
  struct Tile {
    /// Its rows.
    let rows: Range<Int>
    /// Its columns.
    let columns: Range<Int>
  }

  /// (size of x, size of y); tiles that are not computed are zero.
  let sums: Matrix<Double>
  /// The tiles that are computed.
  let tiles: [Tile]

  private let pool: WorkerPool
  /// (threadCount, tileSize, tileSize), the product of one tile and chunk.
  private let scratch: Buffer<Float>

  /// The most tokens that are summed in single precision.
  static let chunkLength = 2048
  /// The side of a tile.
  ///
  /// Small tiles are better because in a symmetric sum half of each tile on the diagonal is wasted. Large
  /// tiles are better because BLAS packs both inputs again for every tile. With 4096 inputs and 2048 tokens,
  /// and BLAS on one thread, 512 took less processor time than 256 or 384.
  static let tileSize = 512

  /// The tiles along a side, where it has enough rows: fewer would leave a thread without work, and waste more
  /// of the tiles on the diagonal.
  private static let fewestTiles = 3

  /// An empty sum.
  ///
  /// - Parameters:
  ///   - rowCount: The size of x.
  ///   - columnCount: The size of y.
  ///   - isSymmetric: Whether x is y, and only the tiles on and above the diagonal are computed.
  ///   - pool: The threads to compute with.
  init(rowCount: Int, columnCount: Int, isSymmetric: Bool = false, _ pool: WorkerPool) {
    self.pool = pool
    sums = Matrix(rowCount: rowCount, columnCount: columnCount)
    scratch = Buffer(count: pool.threadCount * Self.tileSize * Self.tileSize)
    let down = EvenParts(rowCount, atMost: Self.tileSize, fewest: Self.fewestTiles)
    let across = EvenParts(columnCount, atMost: Self.tileSize, fewest: Self.fewestTiles)
    tiles = (0..<down.count).flatMap { row in
      ((isSymmetric ? row : 0)..<across.count).map {
        Tile(rows: down[row], columns: across[$0])
      }
    }
  }

  /// Adds x y^T for every token.
  ///
  /// - Parameters:
  ///   - x: (tokenCount, size of x), rows `xStride` apart.
  ///   - xStride: At least the size of x.
  ///   - y: (tokenCount, size of y), rows `yStride` apart.
  ///   - yStride: At least the size of y.
  ///   - tokenCount: The number of rows.
  /// - Complexity: O(tokenCount) products for each element of a tile.
  @unsafe
  func add(
    _ x: UnsafePointer<Float>, stride xStride: Int, _ y: UnsafePointer<Float>, stride yStride: Int,
    tokenCount: Int
  ) {
    for first in stride(from: 0, to: tokenCount, by: Self.chunkLength) {
      unsafe addChunk(
        x + first * xStride, xStride, y + first * yStride, yStride,
        count: min(Self.chunkLength, tokenCount - first))
    }
  }

  /// Adds the products of at most `chunkLength` tokens.
  private func addChunk(
    _ x: UnsafePointer<Float>, _ xStride: Int, _ y: UnsafePointer<Float>, _ yStride: Int, count: Int
  ) {
    let columnCount = sums.columnCount
    let (sums, scratch, tiles) = unsafe (sums.pointer, scratch.pointer, tiles)
    pool.run(tiles.count) { part, worker in
      let (row, column) = (tiles[part].rows.lowerBound, tiles[part].columns.lowerBound)
      let (height, width) = (tiles[part].rows.count, tiles[part].columns.count)
      let product = unsafe scratch + worker * Self.tileSize * Self.tileSize
      unsafe Float.multiply(
        true, false, height, width, count, 1, x + row, xStride, y + column, yStride, 0, product,
        width)
      for i in 0..<height {
        let source = unsafe product + i * width
        let target = unsafe sums + (row + i) * columnCount + column
        for j in 0..<width { unsafe target[j] += Double(source[j]) }
      }
    }
  }
}
