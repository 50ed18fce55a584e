import DuetCompressor
import DuetRuntime
import DuetSystem
import Testing

/// A matrix of numbers drawn evenly from -1 ..< 1.
func randomMatrix(_ rowCount: Int, _ columnCount: Int, seed: UInt64) -> Matrix<Double> {
  var generator = RandomGenerator(seed: seed)
  var result = Matrix<Double>(rowCount: rowCount, columnCount: columnCount)
  for index in 0..<result.elements.count { result.elements[index] = 2 * generator.nextUnit() - 1 }
  return result
}

@Suite("LinearAlgebra")
struct LinearAlgebraTests {
  private let algebra = LinearAlgebra(WorkerPool(threadCount: 2))

  @Test(
    "products of all transpositions equal the definition", arguments: [false, true], [false, true])
  func products(transposesLeft: Bool, transposesRight: Bool) {
    let (m, n, k) = (259, 515, 7)
    let a = transposesLeft ? randomMatrix(k, m, seed: 1) : randomMatrix(m, k, seed: 1)
    let b = transposesRight ? randomMatrix(n, k, seed: 2) : randomMatrix(k, n, seed: 2)
    let c = algebra.product(
      a, transposesLeft: transposesLeft, b, transposesRight: transposesRight, scale: 2)
    for i in 0..<m {
      for j in 0..<n {
        var sum = 0.0
        for l in 0..<k {
          sum += (transposesLeft ? a[l, i] : a[i, l]) * (transposesRight ? b[j, l] : b[l, j])
        }
        // k products of numbers below 1, each rounded a few times: k^2 * 2^-53 is 6e-15.
        #expect(abs(c[i, j] - 2 * sum) < 1e-13)
      }
    }
  }

  @Test("A = C C^T with an upper triangular C", arguments: [1, 2, 17, 127, 128, 129, 300])
  func upperFactor(size: Int) throws {
    let x = randomMatrix(size, size + 8, seed: 3)
    let a = algebra.product(x, x, transposesRight: true)
    var c = a.copy()
    try algebra.factorizeUpper(&c)
    for i in 0..<size { for j in 0..<i { c[i, j] = 0 } }
    let back = algebra.product(c, c, transposesRight: true)
    for i in 0..<size {
      for j in i..<size {
        // Backward stable: n * 2^-53 * the diagonal, which is about n / 3.
        #expect(abs(back[i, j] - a[i, j]) < 1e-15 * Double(size * size + 10))
      }
    }
  }

  @Test("a matrix that is not positive definite is refused with the order of the minor")
  func notPositiveDefinite() {
    var a = Matrix<Double>(rowCount: 300, columnCount: 300)
    for i in 0..<300 { a[i, i] = i == 40 ? -1 : 1 }
    #expect(throws: LinearAlgebraError.notPositiveDefinite(order: 260)) {
      try algebra.factorizeUpper(&a)
    }
    var b = Matrix<Double>(rowCount: 3, columnCount: 3)
    for i in 0..<3 { b[i, i] = i == 1 ? .nan : 1 }
    #expect(throws: LinearAlgebraError.self) { try algebra.factorizeUpper(&b) }
  }

  @Test("equations are solved", arguments: [1, 5, 130])
  func solving(size: Int) throws {
    let x = randomMatrix(size, size + 8, seed: 4)
    let a = algebra.product(x, x, transposesRight: true)
    let solution = randomMatrix(size, 600, seed: 5)
    var b = algebra.product(a, solution)
    var work = a.copy()
    try algebra.solve(&work, &b)
    for index in 0..<b.elements.count {
      // The condition of X X^T with 8 columns to spare is below 1e5.
      #expect(abs(b.elements[index] - solution.elements[index]) < 1e-9)
    }
  }

  @Test("eigenvectors are orthonormal, sorted and diagonalise", arguments: [1, 2, 33])
  func eigenvectors(size: Int) throws {
    let x = randomMatrix(size, size, seed: 6)
    var a = algebra.product(x, x, transposesRight: true)
    let original = a.copy()
    let values = try algebra.eigenvectors(&a)
    #expect(zip(values, values.dropFirst()).allSatisfy { $0 >= $1 })
    let image = algebra.product(a, original)
    for i in 0..<size {
      for j in 0..<size { #expect(abs(image[i, j] - values[i] * a[i, j]) < 1e-12 * Double(size)) }
    }
    let gram = algebra.product(a, a, transposesRight: true)
    for i in 0..<size {
      for j in 0..<size { #expect(abs(gram[i, j] - (i == j ? 1 : 0)) < 1e-13 * Double(size)) }
    }
  }

  @Test("orthonormal rows span what the rows spanned")
  func orthonormalRows() {
    let original = randomMatrix(5, 40, seed: 7)
    var rows = original.copy()
    algebra.orthonormalizeRows(&rows)
    let gram = algebra.product(rows, rows, transposesRight: true)
    for i in 0..<5 {
      for j in 0..<5 { #expect(abs(gram[i, j] - (i == j ? 1 : 0)) < 1e-14) }
    }
    // Projecting the original rows changes nothing.
    let projected = algebra.product(algebra.product(original, rows, transposesRight: true), rows)
    for index in 0..<original.elements.count {
      #expect(abs(projected.elements[index] - original.elements[index]) < 1e-13)
    }
  }
}
