internal import COpenBLAS
package import DuetRuntime
internal import DuetSystem

/// Products and factorisations of matrices on a pool of threads.
///
/// OpenBLAS itself runs on one thread. A product is cut into tiles whose sizes depend on the shape
/// alone, and each tile is one call, so results do not depend on the number of threads.
public struct LinearAlgebra: Sendable {
  package let pool: WorkerPool
  /// Tells how long the steps of the compression that computes with it take.
  package let clock: StepClock

  /// Computes on `pool`.
  package init(_ pool: WorkerPool, clock: StepClock = StepClock()) {
    self.pool = pool
    self.clock = clock
    Self.prepare()
  }

  static func prepare() { BLASThreads.useOne() }

  // MARK: - Products

  /// The sides of a tile.
  ///
  /// Large enough for BLAS, which is as fast on 256 x 512 as on any larger size; small enough that two
  /// threads share a matrix of a thousand rows evenly.
  static let tileRows = 256
  static let tileColumns = 512

  /// Computes c = scale * op(a) op(b) + old * c.
  ///
  /// op(a) is (m, k), op(b) is (k, n), c is (m, n); op transposes if its flag is set.
  ///
  /// - Precondition: The sizes agree.
  /// - Complexity: O(m * n * k).
  package func multiply<T: BLASElement>(
    _ a: borrowing Matrix<T>, transposesLeft: Bool = false, _ b: borrowing Matrix<T>,
    transposesRight: Bool = false, scale: T = 1, old: T = 0, into c: inout Matrix<T>
  ) {
    let (m, k) = transposesLeft ? (a.columnCount, a.rowCount) : (a.rowCount, a.columnCount)
    let (k2, n) = transposesRight ? (b.columnCount, b.rowCount) : (b.rowCount, b.columnCount)
    precondition(
      k == k2 && c.rowCount == m && c.columnCount == n,
      "(\(m), \(k)) times (\(k2), \(n)) into (\(c.rowCount), \(c.columnCount))")
    unsafe multiply(
      m, n, k, a.pointer, a.columnCount, transposesLeft, b.pointer, b.columnCount, transposesRight,
      scale: scale, old: old, c.pointer, c.columnCount)
  }

  /// The product op(a) op(b) as a new matrix.
  package func product<T: BLASElement>(
    _ a: borrowing Matrix<T>, transposesLeft: Bool = false, _ b: borrowing Matrix<T>,
    transposesRight: Bool = false, scale: T = 1
  ) -> Matrix<T> {
    var c = Matrix<T>(
      rowCount: transposesLeft ? a.columnCount : a.rowCount,
      columnCount: transposesRight ? b.rowCount : b.columnCount)
    multiply(
      a, transposesLeft: transposesLeft, b, transposesRight: transposesRight, scale: scale,
      into: &c)
    return c
  }

  /// Computes c = scale * op(a) op(b) + old * c for parts of larger matrices.
  ///
  /// A stride is the distance between stored rows, in elements.
  @unsafe
  package func multiply<T: BLASElement>(
    _ m: Int, _ n: Int, _ k: Int, _ a: UnsafePointer<T>, _ aStride: Int, _ transposesLeft: Bool,
    _ b: UnsafePointer<T>, _ bStride: Int, _ transposesRight: Bool, scale: T = 1, old: T = 0,
    _ c: UnsafeMutablePointer<T>, _ cStride: Int
  ) {
    if m == 0 || n == 0 { return }
    let down = EvenParts(m, atMost: Self.tileRows)
    let across = EvenParts(n, atMost: Self.tileColumns)
    pool.run(down.count * across.count) { part, _ in
      let (rows, columns) = (down[part / across.count], across[part % across.count])
      let (i, j) = (rows.lowerBound, columns.lowerBound)
      unsafe T.multiply(
        transposesLeft, transposesRight, rows.count, columns.count, k, scale,
        a + (transposesLeft ? i : i * aStride), aStride,
        b + (transposesRight ? j * bStride : j), bStride, old, c + i * cStride + j, cStride)
    }
  }

  // MARK: - Element-wise

  /// The number of elements in a part of element-wise work or of a sum.
  static let chunk = 1 << 16

  /// Calls `body` with ranges that cover `0 ..< count`, on all threads.
  package func forEachChunk(_ count: Int, _ body: (_ range: Range<Int>) -> Void) {
    pool.run((count + Self.chunk - 1) / Self.chunk) { part, _ in
      body(part * Self.chunk..<min((part + 1) * Self.chunk, count))
    }
  }

  /// The sum of `body` over ranges that cover `0 ..< count`, added up in the order of the ranges.
  package func sum(_ count: Int, _ body: (_ range: Range<Int>) -> Double) -> Double {
    let partCount = (count + Self.chunk - 1) / Self.chunk
    let sums = Buffer<Double>(count: partCount)
    pool.run(partCount) { part, _ in
      unsafe sums.pointer[part] = body(part * Self.chunk..<min((part + 1) * Self.chunk, count))
    }
    return (0..<partCount).reduce(0) { $0 + sums[$1] }
  }

  /// The sum of the products of two matrices' elements, tr(a b^T), in double precision.
  package func dot(_ a: borrowing Matrix<Float>, _ b: borrowing Matrix<Float>) -> Double {
    precondition(
      a.rowCount == b.rowCount && a.columnCount == b.columnCount,
      "(\(a.rowCount), \(a.columnCount)) and (\(b.rowCount), \(b.columnCount))")
    let (x, y) = unsafe (a.pointer, b.pointer)
    return sum(a.elements.count) { range in
      // Four independent sums, which the processor can compute at the same time.
      var sums = SIMD4<Double>()
      var index = range.lowerBound
      while index + 4 <= range.upperBound {
        let p = unsafe SIMD4(x[index], x[index + 1], x[index + 2], x[index + 3])
        let q = unsafe SIMD4(y[index], y[index + 1], y[index + 2], y[index + 3])
        sums += SIMD4<Double>(p) * SIMD4<Double>(q)
        index += 4
      }
      var total = sums.sum()
      while index < range.upperBound {
        total += unsafe Double(x[index]) * Double(y[index])
        index += 1
      }
      return total
    }
  }

  /// Adds scale * b to a.
  package func add(_ b: borrowing Matrix<Float>, scale: Float = 1, to a: inout Matrix<Float>) {
    precondition(
      a.rowCount == b.rowCount && a.columnCount == b.columnCount,
      "(\(a.rowCount), \(a.columnCount)) and (\(b.rowCount), \(b.columnCount))")
    let (x, y) = unsafe (a.pointer, b.pointer)
    forEachChunk(a.elements.count) { range in
      for index in range { unsafe x[index] += scale * y[index] }
    }
  }

  /// The transpose of a matrix.
  package func transposed<T: BLASElement>(_ a: borrowing Matrix<T>) -> Matrix<T> {
    let (rows, columns) = (a.rowCount, a.columnCount)
    let result = Matrix<T>(rowCount: columns, columnCount: rows)
    let (source, target) = unsafe (a.pointer, result.pointer)
    // Squares of 32 x 32: source and target fit in the first-level cache.
    pool.run((columns + 31) / 32) { part, _ in
      let across = part * 32..<min(part * 32 + 32, columns)
      for top in stride(from: 0, to: rows, by: 32) {
        for row in top..<min(top + 32, rows) {
          for column in across {
            unsafe target[column * rows + row] = unsafe source[row * columns + column]
          }
        }
      }
    }
    return result
  }

  /// The matrix in double precision.
  package func widened(_ a: borrowing Matrix<Float>) -> Matrix<Double> {
    let result = Matrix<Double>(rowCount: a.rowCount, columnCount: a.columnCount)
    let (source, target) = unsafe (a.pointer, result.pointer)
    forEachChunk(a.elements.count) { range in
      for index in range { unsafe target[index] = unsafe Double(source[index]) }
    }
    return result
  }

  /// The matrix in single precision.
  package func narrowed(_ a: borrowing Matrix<Double>) -> Matrix<Float> {
    let result = Matrix<Float>(rowCount: a.rowCount, columnCount: a.columnCount)
    let (source, target) = unsafe (a.pointer, result.pointer)
    forEachChunk(a.elements.count) { range in
      for index in range { unsafe target[index] = unsafe Float(source[index]) }
    }
    return result
  }
}
