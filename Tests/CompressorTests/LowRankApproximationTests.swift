import DuetCompressor
import DuetRuntime
import DuetSystem
import Testing

@Suite("LowRankApproximation")
struct LowRankApproximationTests {
  private let algebra = LinearAlgebra(WorkerPool(threadCount: 2))

  /// A matrix of weights whose singular values fall like those of trained ones do: as (1 + i)^-power.
  private func decaying(_ m: Int, _ n: Int, power: Double, seed: UInt64) -> Matrix<Float> {
    let rank = min(m, n)
    var left = Numerics.gaussian(rank, m, seed: seed)
    var right = Numerics.gaussian(rank, n, seed: seed &+ 1)
    algebra.orthonormalizeRows(&left)
    algebra.orthonormalizeRows(&right)
    for i in 0..<rank {
      var value = 1.0
      for _ in 0..<Int(4 * power) { value /= Double(1 + i).squareRoot().squareRoot() }
      for column in 0..<n { right[i, column] *= value }
    }
    return algebra.narrowed(algebra.product(left, transposesLeft: true, right))
  }

  /// The right singular vectors of A C in rows with H = C C^T, C, and the squared singular values.
  private func spectrum(
    _ a: borrowing Matrix<Float>, _ hessian: borrowing Matrix<Double>
  ) throws -> Spectrum {
    let n = hessian.rowCount
    var root = hessian.copy()
    try algebra.factorizeUpper(&root)
    for row in 0..<n { for column in 0..<row { root[row, column] = 0 } }
    let whitened = algebra.product(algebra.widened(a), root)
    var vectors = algebra.product(whitened, transposesLeft: true, whitened)
    let values = try algebra.eigenvectors(&vectors)
    return Spectrum(root: root, vectors: vectors, values: values)
  }

  private struct Spectrum: ~Copyable {
    let root: Matrix<Double>
    let vectors: Matrix<Double>
    let values: [Double]

    /// The least error of rank `rank`: the squared singular values that are left out.
    func tail(_ rank: Int) -> Double { values.dropFirst(rank).reduce(0) { $0 + max($1, 0) } }
  }

  private func error(
    _ a: borrowing Matrix<Float>, _ product: borrowing LowRankProduct,
    _ hessian: borrowing Matrix<Double>
  ) -> Double {
    var residual = algebra.widened(a)
    algebra.multiply(
      algebra.widened(product.leftTransposed), transposesLeft: true,
      algebra.widened(product.right), scale: -1, old: 1, into: &residual)
    return Numerics.square(residual, hessian, algebra)
  }

  @Test(
    "the exact form leaves the tail of the singular values of A C",
    arguments: [(1, 1, 1), (20, 50, 3), (50, 20, 7), (65, 65, 16)])
  func tail(m: Int, n: Int, rank: Int) throws {
    let hessian = Numerics.hessian(n, seed: 101, algebra)
    let a = Numerics.weights(m, n, seed: 102)
    let spectrum = try spectrum(a, hessian)
    let product = try LowRankApproximation(algebra).factors(
      of: a, hessian: algebra.narrowed(hessian), rank: rank, isExact: true)
    let total = spectrum.tail(0)
    // Directions in single precision are off by some 1e-6, whose square counts; so do the numbers of
    // the factors, which are rounded: 1e-7 of the whole squared, times a few hundred terms.
    #expect(abs(error(a, product, hessian) - spectrum.tail(rank)) < 1e-8 * total)
    let gram = algebra.product(
      product.leftTransposed, product.leftTransposed, transposesRight: true)
    for i in 0..<rank {
      // m products of numbers rounded to single precision.
      for j in 0..<rank { #expect(abs(gram[i, j] - (i == j ? 1 : 0)) < 1e-5) }
    }
  }

  @Test(
    "the product is that of the form with the Cholesky factor", arguments: [(30, 40), (40, 30)])
  func choleskyForm(m: Int, n: Int) throws {
    let rank = 5
    let hessian = Numerics.hessian(n, seed: 103, algebra)
    let a = decaying(m, n, power: 1, seed: 104)
    let spectrum = try spectrum(a, hessian)
    // A C V V^T C^-1, the inverse as C^T H^-1.
    var leading = Matrix<Double>(rowCount: rank, columnCount: n)
    for index in 0..<rank * n { leading.elements[index] = spectrum.vectors.elements[index] }
    let rows = algebra.product(leading, spectrum.root, transposesRight: true)
    var solution = algebra.product(rows, transposesLeft: true, rows)
    var work = hessian.copy()
    try algebra.solve(&work, &solution)
    let expected = algebra.product(algebra.widened(a), solution, transposesRight: true)
    let product = try LowRankApproximation(algebra).factors(
      of: a, hessian: algebra.narrowed(hessian), rank: rank, isExact: true)
    let own = algebra.product(product.leftTransposed, transposesLeft: true, product.right)
    // Rotating the leading space by 2^-24 / gap: neighbouring values here are some 10 % apart, and H
    // has a condition of about 1e3, by whose root the unweighted product differs more.
    #expect(
      Numerics.distance(own, algebra.narrowed(expected)) < 1e-4 * Numerics.largest(expected))
  }

  @Test(
    "the randomised form is within one per cent of the exact one on falling spectra",
    arguments: [(200, 120, 8), (120, 200, 8), (300, 300, 20)], [0.5, 1.0])
  func randomised(shape: (Int, Int, Int), power: Double) throws {
    let (m, n, rank) = shape
    let hessian = Numerics.hessian(n, seed: 105, algebra)
    let a = decaying(m, n, power: power, seed: 106)
    let narrow = algebra.narrowed(hessian)
    let approximation = LowRankApproximation(algebra)
    let exact = error(
      a, try approximation.factors(of: a, hessian: narrow, rank: rank, isExact: true), hessian)
    let product = try approximation.factors(of: a, hessian: narrow, rank: rank, isExact: false)
    let own = error(a, product, hessian)
    // Not below: the exact form is the minimum, up to single precision.
    #expect(own < 1.01 * exact && own > (1 - 1e-5) * exact, "\(own / exact)")
    let again = try approximation.factors(of: a, hessian: narrow, rank: rank, isExact: false)
    Numerics.expectIdentical(product.right, again.right)
  }

  @Test("full rank leaves nothing, no rank everything", arguments: [(12, 30), (30, 12)])
  func extremes(m: Int, n: Int) throws {
    let hessian = Numerics.hessian(n, seed: 107, algebra)
    let a = Numerics.weights(m, n, seed: 108)
    let narrow = algebra.narrowed(hessian)
    let whole = Numerics.square(algebra.widened(a), hessian, algebra)
    let approximation = LowRankApproximation(algebra)
    for isExact in [true, false] {
      let full = try approximation.factors(
        of: a, hessian: narrow, rank: min(m, n), isExact: isExact)
      // 2^-24 squared times the size, and the condition of what was orthonormalised.
      #expect(error(a, full, hessian) < 1e-10 * whole)
      let none = try approximation.factors(of: a, hessian: narrow, rank: 0, isExact: isExact)
      #expect(none.rank == 0)
      Numerics.expectIdentical(none.subtracted(from: a, algebra), a)
    }
  }

  @Test("numbers that are not finite are refused", arguments: [true, false])
  func notFinite(isExact: Bool) throws {
    var a = Numerics.weights(20, 20, seed: 109)
    a[3, 4] = .nan
    let hessian = algebra.narrowed(Numerics.hessian(20, seed: 110, algebra))
    #expect(throws: LinearAlgebraError.self) {
      _ = try LowRankApproximation(algebra).factors(
        of: a, hessian: hessian, rank: 2, isExact: isExact)
    }
  }

  // MARK: - What the alternation starts from

  @Test("the start of ODLRI copies the columns of the outliers", arguments: [false, true])
  func outlierStart(isRotated: Bool) throws {
    let (m, n, k, rank) = (32, 48, 4, 6)
    let hessian = Numerics.hessian(n, seed: 111, algebra)
    let rotation =
      isRotated ? try MatrixRotation(sizes: [m, n], seed: 7, KernelSet.standard, algebra) : nil
    let metric = try Numerics.metric(hessian, rotation: rotation, algebra)
    let weight = Numerics.weights(m, n, seed: 112)
    let problem = try Numerics.problem(weight, metric, algebra, outputRotation: rotation)
    let start = try LowRankStart(algebra).factors(
      .odlri, of: problem, metric, rank: rank, channelCount: k)
    #expect(start.rank == k)
    var product = algebra.product(start.leftTransposed, transposesLeft: true, start.right)
    rotation?.rotateRowsBack(&product)
    rotation?.rotateColumnsBack(&product)
    let channels = (0..<n).sorted { hessian[$0, $0] > hessian[$1, $1] }.prefix(k)
    for row in 0..<m {
      for column in 0..<n {
        let expected = channels.contains(column) ? weight[row, column] : 0
        // Without a rotation the numbers are copied; with one they went through two, forth and back.
        #expect(abs(product[row, column] - expected) <= (isRotated ? 2e-5 : 0))
      }
    }
  }

  @Test(
    "with more channels than components the start is the best on the channels",
    arguments: [false, true])
  func truncatedStart(isRotated: Bool) throws {
    let (m, n, k, rank) = (32, 48, 12, 4)
    let hessian = Numerics.hessian(n, seed: 113, algebra)
    let rotation =
      isRotated ? try MatrixRotation(sizes: [m, n], seed: 8, KernelSet.standard, algebra) : nil
    let metric = try Numerics.metric(hessian, rotation: rotation, algebra)
    let weight = Numerics.weights(m, n, seed: 114)
    let problem = try Numerics.problem(weight, metric, algebra, outputRotation: rotation)
    let start = try LowRankStart(algebra).factors(
      .odlri, of: problem, metric, rank: rank, channelCount: k)
    #expect(start.rank == rank)
    var product = algebra.product(start.leftTransposed, transposesLeft: true, start.right)
    rotation?.rotateRowsBack(&product)
    rotation?.rotateColumnsBack(&product)
    // H_OO with the damping, in the original basis.
    let channels = metric.ranking.prefix(k).sorted()
    let mean = (0..<n).reduce(0) { $0 + hessian[$1, $1] } / Double(n)
    var gram = Matrix<Double>(rowCount: k, columnCount: k)
    var columns = Matrix<Float>(rowCount: m, columnCount: k)
    var residual = Matrix<Double>(rowCount: m, columnCount: k)
    for (i, channel) in channels.enumerated() {
      for (j, other) in channels.enumerated() {
        gram[i, j] = hessian[channel, other] / mean + (i == j ? metric.damping : 0)
      }
      for row in 0..<m {
        columns[row, i] = weight[row, channel]
        residual[row, i] = Double(weight[row, channel]) - Double(product[row, channel])
      }
    }
    let spectrum = try spectrum(columns, gram)
    let own = Numerics.square(residual, gram, algebra)
    // The minimum is flat: rotations in single precision move it by less than 1e-6 of the whole.
    #expect(abs(own - spectrum.tail(rank)) < 1e-6 * spectrum.tail(0))
    for row in 0..<m {
      for column in 0..<n where !channels.contains(column) {
        #expect(abs(product[row, column]) < 2e-5)
      }
    }
  }

  @Test("the other starts are nothing and the best of the rank")
  func otherStarts() throws {
    let (m, n, rank) = (20, 30, 4)
    let hessian = Numerics.hessian(n, seed: 115, algebra)
    let metric = try Numerics.metric(hessian, algebra)
    let problem = try Numerics.problem(Numerics.weights(m, n, seed: 116), metric, algebra)
    let starts = LowRankStart(algebra)
    #expect(try starts.factors(.zero, of: problem, metric, rank: rank, channelCount: 2).rank == 0)
    let best = try starts.factors(.lowRank, of: problem, metric, rank: rank, channelCount: 2)
    let expected = try LowRankApproximation(algebra).factors(
      of: problem.weight, hessian: metric.hessian, rank: rank)
    Numerics.expectIdentical(best.right, expected.right)
    Numerics.expectIdentical(best.leftTransposed, expected.leftTransposed)
  }
}
