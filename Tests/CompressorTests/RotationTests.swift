import DuetCompressor
import DuetRuntime
import Testing

@Suite("Rotation of matrices")
struct RotationTests {
  private let algebra = LinearAlgebra(WorkerPool(threadCount: 2))

  private func rotation(_ sizes: [Int], seed: UInt64 = 1) throws -> MatrixRotation {
    try MatrixRotation(sizes: sizes, seed: seed, KernelSet.standard, algebra)
  }

  /// B S of a size, whose columns are the rotated unit vectors.
  private func matrix(_ rotation: MatrixRotation, _ size: Int) -> Matrix<Double> {
    var rows = Matrix<Float>(rowCount: size, columnCount: size)
    for index in 0..<size { rows[index, index] = 1 }
    rotation.rotateRows(&rows)
    return algebra.widened(algebra.transposed(rows))
  }

  @Test(
    "rows and columns are rotated by an orthogonal matrix and back", arguments: [1, 16, 48, 172])
  func orthogonal(size: Int) throws {
    let rotation = try rotation([size])
    let transform = matrix(rotation, size)
    let unit = algebra.product(transform, transform, transposesRight: true)
    // Entries are rounded to single precision: n products of 1 / n, 2^-24 each.
    for i in 0..<size {
      for j in 0..<size { #expect(abs(unit[i, j] - (i == j ? 1 : 0)) < 1e-6) }
    }
    let original = Numerics.weights(size, size, seed: 81)
    let wide = algebra.widened(original)
    // log2(n) additions, or `order` products, in single precision of numbers below 5.
    let tolerance = 2e-5
    var rows = original.copy()
    rotation.rotateRows(&rows)
    let expectedRows = algebra.narrowed(algebra.product(wide, transform, transposesRight: true))
    #expect(Numerics.distance(rows, expectedRows) < tolerance)
    rotation.rotateRowsBack(&rows)
    #expect(Numerics.distance(rows, original) < tolerance)
    var columns = original.copy()
    rotation.rotateColumns(&columns)
    #expect(
      Numerics.distance(columns, algebra.narrowed(algebra.product(transform, wide))) < tolerance)
    rotation.rotateColumnsBack(&columns)
    #expect(Numerics.distance(columns, original) < tolerance)
  }

  @Test("a Hessian is rotated on both sides")
  func bothSides() throws {
    let rotation = try rotation([48])
    let transform = matrix(rotation, 48)
    let hessian = Numerics.hessian(48, seed: 82, algebra)
    var rotated = algebra.narrowed(hessian)
    rotation.rotateBothSides(&rotated)
    let expected = algebra.product(
      algebra.product(transform, hessian), transform, transposesRight: true)
    // Twice the roundings of one side, of numbers below 50.
    #expect(Numerics.distance(rotated, algebra.narrowed(expected)) < 1e-4)
    // What was zero beside the diagonal is not: the numbers are spread.
    #expect(rotated[0, 1] != algebra.narrowed(hessian)[0, 1])
  }

  @Test("rectangular matrices take the transforms of their sizes")
  func rectangular() throws {
    let rotation = try rotation([16, 48, 16])
    #expect(rotation.all.map(\.size) == [16, 48])
    let original = Numerics.weights(16, 48, seed: 83)
    var rotated = original.copy()
    rotation.rotateRows(&rotated)
    rotation.rotateColumns(&rotated)
    let expected = algebra.product(
      matrix(rotation, 16),
      algebra.product(
        algebra.widened(original), matrix(rotation, 48), transposesRight: true))
    #expect(Numerics.distance(rotated, algebra.narrowed(expected)) < 2e-5)
  }

  @Test("signs follow from the seed and the size alone")
  func seeds() throws {
    let first = try rotation([64, 48])
    #expect(first[64].signs == (try rotation([64]))[64].signs)
    #expect(first[64].signs != (try rotation([64], seed: 2))[64].signs)
    #expect(Array(first[64].signs.prefix(48)) != first[48].signs)
    let counts = first[64].signs.reduce(0) { $0 + Int($1) }
    #expect(abs(counts) < 40)
  }

  @Test("the number of threads changes no bit", arguments: [1, 3, 8])
  func threads(count: Int) throws {
    let one = LinearAlgebra(WorkerPool(threadCount: count))
    for size in [64, 172] {
      var expected = Numerics.weights(33, size, seed: 84)
      var rotated = expected.copy()
      try rotation([size]).rotateRows(&expected)
      try MatrixRotation(sizes: [size], seed: 1, KernelSet.standard, one).rotateRows(&rotated)
      Numerics.expectIdentical(expected, rotated)
    }
  }
}
