internal import COpenBLAS
package import DuetRuntime
internal import DuetSystem

/// A reason why a matrix could not be factorised.
public enum LinearAlgebraError: Error, Equatable {
  /// The matrix is not positive definite: the leading minor of this order is not positive.
  case notPositiveDefinite(order: Int)
  /// The eigenvalue iteration did not converge, or was given numbers that are not finite.
  case noConvergence(info: Int)
}

extension LinearAlgebra {
  /// The side of the diagonal blocks of `factorizeUpper`.
  ///
  /// One thread factorises a block, in about a millisecond, while the other threads wait.
  private static let blockSize = 128

  /// Replaces a symmetric matrix A by C with A = C C^T, C upper triangular.
  ///
  /// Only the upper triangle of A is read. Afterwards the elements below the diagonal have no meaning.
  /// C is upper triangular, not lower as usual, because feedback runs from the first column to the last.
  ///
  /// - Throws: `notPositiveDefinite` with the order counted from the last row.
  /// - Complexity: O(n^3 / 3).
  package func factorizeUpper(_ a: inout Matrix<Double>) throws(LinearAlgebraError) {
    let n = a.rowCount
    precondition(n == a.columnCount, "(\(n), \(a.columnCount)) is not square")
    let base = unsafe a.pointer
    var end = n
    while end > 0 {
      let start = max(0, end - Self.blockSize)
      let size = end - start
      // A[s..e, s..e] = C C^T for the block: LAPACK gets the reversed block, whose factor is lower.
      try unsafe factorizeDiagonal(base, n, start, size, order: n - end)
      // X = A[0..s, s..e] C^{-T}: rows are independent.
      let down = (start + Self.blockSize - 1) / Self.blockSize
      pool.run(down) { part, _ in
        let top = part * Self.blockSize
        BLASClock.count {
          unsafe cblas_dtrsm(
            CblasRowMajor, CblasRight, CblasUpper, CblasTrans, CblasNonUnit,
            blasint(min(Self.blockSize, start - top)), blasint(size), 1, base + start * n + start,
            blasint(n), base + top * n + start, blasint(n))
        }
      }
      // A[0..s, 0..s] -= X X^T, tiles of the upper triangle only.
      let tiles = (0..<down).flatMap { row in (row..<down).map { (row, $0) } }
      pool.run(tiles.count) { part, _ in
        let (row, column) = tiles[part]
        let (i, j) = (row * Self.blockSize, column * Self.blockSize)
        unsafe Double.multiply(
          false, true, min(Self.blockSize, start - i), min(Self.blockSize, start - j), size, -1,
          base + i * n + start, n, base + j * n + start, n, 1, base + i * n + j, n)
      }
      end = start
    }
  }

  /// Replaces one diagonal block by its upper factor.
  private func factorizeDiagonal(
    _ base: UnsafeMutablePointer<Double>, _ n: Int, _ start: Int, _ size: Int, order: Int
  ) throws(LinearAlgebraError) {
    // P A P, with rows and columns in reversed order, is factorised as L L^T; P L P is upper.
    let block = Buffer<Double>(count: size * size)
    for row in 0..<size {
      for column in row..<size {
        let value = unsafe base[(start + row) * n + start + column]
        // Column major: element (r, c) of the reversed block at c * size + r, r >= c.
        unsafe block.pointer[(size - 1 - column) * size + size - 1 - row] = value
      }
    }
    var (count, info) = (Int32(size), Int32(0))
    // In reversed order the upper triangle becomes the lower one.
    BLASClock.count {
      unsafe dpotrf_("L", &count, block.pointer, &count, &info)
    }
    guard info == 0 else { throw .notPositiveDefinite(order: order + Int(info)) }
    for row in 0..<size {
      for column in row..<size {
        let value = unsafe block.pointer[(size - 1 - column) * size + size - 1 - row]
        guard value.isFinite else { throw .notPositiveDefinite(order: order + 1) }
        unsafe base[(start + row) * n + start + column] = value
      }
    }
  }

  /// Solves A X = B for a positive definite A, and replaces B by X.
  ///
  /// - Parameters:
  ///   - a: (n, n), both triangles; destroyed.
  ///   - b: (n, columns), replaced by X.
  /// - Throws: `notPositiveDefinite`.
  package func solve(
    _ a: inout Matrix<Double>, _ b: inout Matrix<Double>
  ) throws(LinearAlgebraError) {
    precondition(b.rowCount == a.rowCount, "\(a.rowCount) equations, \(b.rowCount) right sides")
    try factorizeUpper(&a)
    unsafe solve(a.rowCount, factor: a.pointer, b.pointer, columnCount: b.columnCount)
  }

  /// Solves A X = B in single precision after A was factorised in double precision.
  ///
  /// - Parameters:
  ///   - a: (n, n), both triangles; destroyed.
  ///   - b: (n, columns), replaced by X.
  /// - Throws: `notPositiveDefinite`.
  package func solve(
    _ a: inout Matrix<Double>, _ b: inout Matrix<Float>
  ) throws(LinearAlgebraError) {
    precondition(b.rowCount == a.rowCount, "\(a.rowCount) equations, \(b.rowCount) right sides")
    try factorizeUpper(&a)
    let (n, columns) = (a.rowCount, b.columnCount)
    // The factor is narrowed in place, from the first element to the last: it is as large as a Hessian.
    let memory = unsafe UnsafeMutableRawPointer(a.pointer)
    for index in 0..<n * n {
      unsafe memory.storeBytes(
        of: Float(memory.load(fromByteOffset: 8 * index, as: Double.self)),
        toByteOffset: 4 * index, as: Float.self)
    }
    unsafe solve(
      n, factor: memory.assumingMemoryBound(to: Float.self), b.pointer, columnCount: columns)
  }

  /// Replaces B (n, columns) by the solution of C C^T X = B for an upper triangle C (n, n).
  @unsafe
  private func solve<T: BLASElement>(
    _ n: Int, factor: UnsafePointer<T>, _ x: UnsafeMutablePointer<T>, columnCount columns: Int
  ) {
    let parts = EvenParts(columns, atMost: Self.tileColumns)
    // Columns are independent.
    pool.run(parts.count) { part, _ in
      let range = parts[part]
      for transposes in [false, true] {
        unsafe T.solveUpper(
          transposes, n, range.count, factor, n, x + range.lowerBound, columns)
      }
    }
  }

  /// Replaces a symmetric matrix by its eigenvectors, in rows, in descending order of eigenvalue.
  ///
  /// - Parameter a: (n, n), both triangles; row i becomes the eigenvector of eigenvalue i.
  /// - Returns: The eigenvalues, largest first.
  /// - Throws: `noConvergence`.
  /// - Complexity: O(n^3), on one thread.
  package func eigenvectors(_ a: inout Matrix<Double>) throws(LinearAlgebraError) -> [Double] {
    let n = a.rowCount
    precondition(n == a.columnCount, "(\(n), \(a.columnCount)) is not square")
    if n == 0 { return [] }
    for index in 0..<n * n where !a.elements[index].isFinite { throw .noConvergence(info: 0) }
    var values = [Double](repeating: 0, count: n)
    var (count, info) = (Int32(n), Int32(0))
    var (workCount, integerCount) = (Int32(-1), Int32(-1))
    var (workSize, integerSize) = (0.0, Int32(0))
    // The first call asks for the sizes of the work space.
    unsafe dsyevd_(
      "V", "L", &count, a.pointer, &count, &values, &workSize, &workCount, &integerSize,
      &integerCount, &info)
    workCount = Int32(workSize)
    integerCount = integerSize
    let work = Buffer<Double>(count: Int(workCount))
    let integers = Buffer<Int32>(count: Int(integerCount))
    // LAPACK returns eigenvectors in the columns of a column-major matrix, which are the rows here.
    BLASClock.count {
      unsafe dsyevd_(
        "V", "L", &count, a.pointer, &count, &values, work.pointer, &workCount, integers.pointer,
        &integerCount, &info)
    }
    guard info == 0 else { throw .noConvergence(info: Int(info)) }
    // LAPACK's order is ascending: reverse the rows.
    for row in 0..<n / 2 {
      let (low, high) = (row * n, (n - 1 - row) * n)
      for column in 0..<n {
        let value = a.elements[low + column]
        a.elements[low + column] = a.elements[high + column]
        a.elements[high + column] = value
      }
    }
    return values.reversed()
  }

  /// Replaces the rows of a matrix by orthonormal rows that span the same space.
  ///
  /// - Parameter a: (count, n) with count <= n and independent rows; dependent ones are replaced by
  ///   arbitrary orthonormal ones.
  /// - Complexity: O(count^2 * n), on one thread.
  package func orthonormalizeRows(_ a: inout Matrix<Double>) {
    let (count, length) = (a.rowCount, a.columnCount)
    precondition(count <= length, "\(count) orthonormal rows of \(length)")
    if count == 0 { return }
    // The rows are the columns of a column-major matrix (length, count).
    var (m, n, info) = (Int32(length), Int32(count), Int32(0))
    var workCount = Int32(count * 64)
    let work = Buffer<Double>(count: count * 64)
    let reflectors = Buffer<Double>(count: count)
    BLASClock.count {
      unsafe dgeqrf_(&m, &n, a.pointer, &m, reflectors.pointer, work.pointer, &workCount, &info)
    }
    precondition(info == 0, "dgeqrf refused argument \(-info)")
    BLASClock.count {
      unsafe dorgqr_(&m, &n, &n, a.pointer, &m, reflectors.pointer, work.pointer, &workCount, &info)
    }
    precondition(info == 0, "dorgqr refused argument \(-info)")
  }
}
