internal import DuetRuntime

/// The sum of d x^T over the tokens, d being what the stream of a compressed model lacks at some point and
/// x an input there.
///
/// Products of a chunk of tokens are summed in single precision by BLAS, the chunks in double precision,
/// as in `HessianAccumulator`; every bit depends on the sizes alone.
struct CrossMoment: ~Copyable {
  /// The numbers of a difference d.
  let rowCount: Int
  /// The numbers of an input x.
  let columnCount: Int
  private(set) var tokenCount = 0

  private let pool: WorkerPool
  private let sums: Matrix<Double>
  /// (threadCount, tileSize, tileSize), the product of one tile and chunk.
  private let scratch: Buffer<Float>
  private let tiles: [(row: Int, column: Int)]

  private static let tileSize = 512

  /// A sum of nothing.
  init(rowCount: Int, columnCount: Int, _ algebra: LinearAlgebra) {
    self.rowCount = rowCount
    self.columnCount = columnCount
    pool = algebra.pool
    sums = Matrix(rowCount: rowCount, columnCount: columnCount)
    scratch = Buffer(count: pool.threadCount * Self.tileSize * Self.tileSize)
    tiles = stride(from: 0, to: rowCount, by: Self.tileSize).flatMap { row in
      stride(from: 0, to: columnCount, by: Self.tileSize).map { (row, $0) }
    }
  }

  /// Adds d x^T for every token.
  ///
  /// - Parameters:
  ///   - differences: d, (tokenCount, rowCount).
  ///   - inputs: x, (tokenCount, columnCount).
  ///   - tokenCount: The number of rows.
  /// - Complexity: O(tokenCount * rowCount * columnCount).
  mutating func add(
    _ differences: borrowing Buffer<Float>, _ inputs: borrowing Buffer<Float>, tokenCount: Int
  ) {
    let (rows, columns) = (rowCount, columnCount)
    precondition(
      differences.count >= tokenCount * rows && inputs.count >= tokenCount * columns,
      "\(differences.count) and \(inputs.count) numbers of \(tokenCount) tokens")
    let (d, x) = unsafe (differences.pointer, inputs.pointer)
    let (sums, scratch, tiles) = unsafe (sums.pointer, scratch.pointer, tiles)
    for first in stride(from: 0, to: tokenCount, by: HessianAccumulator.chunkLength) {
      let count = min(HessianAccumulator.chunkLength, tokenCount - first)
      pool.run(tiles.count) { part, worker in
        let (row, column) = tiles[part]
        let (height, width) = (min(Self.tileSize, rows - row), min(Self.tileSize, columns - column))
        let product = unsafe scratch + worker * Self.tileSize * Self.tileSize
        unsafe Float.multiply(
          true, false, height, width, count, 1, d + first * rows + row, rows,
          x + first * columns + column, columns, 0, product, width)
        for i in 0..<height {
          let source = unsafe product + i * width
          let target = unsafe sums + (row + i) * columns + column
          for j in 0..<width { unsafe target[j] += Double(source[j]) }
        }
      }
    }
    self.tokenCount += tokenCount
  }

  /// The mean of d x^T, transposed: (columnCount, rowCount).
  ///
  /// - Precondition: There was a token.
  consuming func finish(_ algebra: LinearAlgebra) -> Matrix<Double> {
    precondition(tokenCount > 0, "a mean over \(tokenCount) tokens")
    let result = algebra.transposed(sums)
    let (numbers, count) = unsafe (result.pointer, Double(tokenCount))
    algebra.forEachChunk(result.elements.count) { range in
      for index in range { unsafe numbers[index] /= count }
    }
    return result
  }
}
