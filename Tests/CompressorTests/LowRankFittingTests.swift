import DuetCompressor
import DuetRuntime
import DuetSystem
import Testing

@Suite("LowRankFitting")
struct LowRankFittingTests {
  private let algebra = LinearAlgebra(WorkerPool(threadCount: 2))

  /// A way to store factors.
  private struct Storage: Sendable, CustomTestStringConvertible {
    let format: FactorFormat
    let rounding: FactorRounding
    var testDescription: String { "\(format) \(rounding)" }
  }

  private static let storages = [
    Storage(format: .f16, rounding: .nearest), Storage(format: .int4, rounding: .nearest),
    Storage(format: .int4, rounding: .feedback), Storage(format: .int2, rounding: .feedback),
    Storage(format: .int3, rounding: .nearest), Storage(format: .int8, rounding: .feedback),
  ]

  private func fitted(
    _ a: borrowing Matrix<Float>, _ metric: borrowing Metric, rank: Int, _ storage: Storage,
    iterations: Int = 10
  ) throws -> FittedFactors {
    let square = Numerics.square(algebra.widened(a), algebra.widened(metric.hessian), algebra)
    return try LowRankFitting(
      algebra, FactorStorage(storage.format), rounding: storage.rounding, iterations: iterations
    ).fit(a, square: square, metric, rank: rank)
  }

  private func residual(
    _ a: borrowing Matrix<Float>, _ product: borrowing LowRankProduct
  ) -> Matrix<Double> {
    var result = algebra.widened(a)
    algebra.multiply(
      algebra.widened(product.leftTransposed), transposesLeft: true,
      algebra.widened(product.right), scale: -1, old: 1, into: &result)
    return result
  }

  @Test(
    "the error returned is that of the factors",
    arguments: storages, [(1, 40, 1), (33, 17, 5), (130, 140, 9), (40, 150, 40)])
  private func error(storage: Storage, shape: (Int, Int, Int)) throws {
    let (m, n, rank) = shape
    let metric = try Numerics.metric(Numerics.hessian(n, seed: 121, algebra), algebra)
    let a = Numerics.weights(m, n, seed: 122, deviation: 0.02)
    let result = try fitted(a, metric, rank: rank, storage)
    let hessian = algebra.widened(metric.hessian)
    let expected = Numerics.square(residual(a, result.factors.product), hessian, algebra)
    let whole = Numerics.square(algebra.widened(a), hessian, algebra)
    // It is computed as tr(A H A^T) less what L R takes up: 2^-24 of the whole in each of two sums.
    #expect(abs(result.error - expected) < 2e-6 * whole, "\(result.error) and \(expected)")
    #expect(result.error < whole)
    #expect(result.factors.rank == rank && result.factors.storage == FactorStorage(storage.format))
  }

  @Test("half precision is near the best of full precision")
  func halfPrecision() throws {
    let (m, n, rank) = (60, 80, 10)
    let metric = try Numerics.metric(Numerics.hessian(n, seed: 123, algebra), algebra)
    let a = Numerics.weights(m, n, seed: 124, deviation: 0.02)
    let best = try LowRankApproximation(algebra).factors(
      of: a, hessian: metric.hessian, rank: rank, isExact: true)
    let hessian = algebra.widened(metric.hessian)
    let least = Numerics.square(residual(a, best), hessian, algebra)
    let result = try fitted(a, metric, rank: rank, Self.storages[0])
    let own = Numerics.square(residual(a, result.factors.product), hessian, algebra)
    // Rounding to 11 bits adds 2^-24 / 3 of the squares of both factors' entries, whose sum is that
    // of the whole, which is less than ten times what is left here.
    #expect(own > least * (1 - 1e-6) && own < least * (1 + 1e-5), "\(own / least)")
    for index in 0..<rank * m {
      let value = result.factors.product.leftTransposed.elements[index]
      #expect(Float(Float16(value)) == value)
    }
    for index in 0..<rank * n {
      let value = result.factors.product.right.elements[index]
      #expect(Float(Float16(value)) == value)
    }
  }

  @Test("packed factors are multiples of their scales", arguments: storages.dropFirst())
  private func grid(storage: Storage) throws {
    let (m, n, rank) = (37, 150, 6)
    let metric = try Numerics.metric(Numerics.hessian(n, seed: 125, algebra), algebra)
    let a = Numerics.weights(m, n, seed: 126)
    let factors = try fitted(a, metric, rank: rank, storage).factors.copy()
    let format = try #require(storage.format.weightFormat)
    func expectCode(_ value: Float, _ scale: Float) {
      let code = value / scale + format.zeroPoint
      #expect(
        scale > 0 && code == code.rounded() && code >= 0 && code <= Float(format.largestCode))
    }
    #expect(factors.leftScales.rowCount == m && factors.leftScales.columnCount == 1)
    #expect(factors.rightScales.rowCount == rank && factors.rightScales.columnCount == 2)
    for component in 0..<rank {
      for row in 0..<m {
        expectCode(factors.product.leftTransposed[component, row], factors.leftScales[row, 0])
      }
      for column in 0..<n {
        expectCode(
          factors.product.right[component, column], factors.rightScales[component, column / 128])
      }
    }
  }

  @Test("feedback lowers the error of four bits, in the mean and nearly always")
  func feedback() throws {
    let (m, n, rank) = (48, 64, 8)
    var (nearest, fedBack, losses) = (0.0, 0.0, 0)
    for seed in 0..<20 {
      let metric = try Numerics.metric(
        Numerics.hessian(n, seed: UInt64(500 + seed), algebra), algebra)
      // Of rank 8 but for a tenth of noise, so that rounding is most of what is left.
      let left = Numerics.weights(m, rank, seed: UInt64(600 + seed))
      let right = Numerics.weights(rank, n, seed: UInt64(700 + seed))
      var a = Numerics.weights(m, n, seed: UInt64(800 + seed), deviation: 0.05)
      algebra.multiply(left, right, old: 1, into: &a)
      let plain = try fitted(a, metric, rank: rank, Self.storages[1]).error
      let own = try fitted(a, metric, rank: rank, Self.storages[2]).error
      nearest += plain
      fedBack += own
      if own >= plain { losses += 1 }
    }
    // The metric's geometric mean is below half of its arithmetic one, and the noise is the same in
    // both; half of the gain is asked for.
    #expect(fedBack < 0.85 * nearest, "\(fedBack / nearest)")
    #expect(losses <= 1)
  }

  @Test("more iterations are not worse, and a start is improved on", arguments: storages)
  private func iterations(storage: Storage) throws {
    let (m, n, rank) = (40, 70, 6)
    let metric = try Numerics.metric(Numerics.hessian(n, seed: 127, algebra), algebra)
    let a = Numerics.weights(m, n, seed: 128)
    let once = try fitted(a, metric, rank: rank, storage, iterations: 1)
    let often = try fitted(a, metric, rank: rank, storage, iterations: 10)
    #expect(often.error <= once.error)
    // From a start in another space: least squares for both factors gain more than rounding loses.
    let start = LowRankProduct(
      leftTransposed: Numerics.weights(rank, m, seed: 129),
      right: Numerics.weights(rank, n, seed: 130))
    let hessian = algebra.widened(metric.hessian)
    let before = Numerics.square(residual(a, start), hessian, algebra)
    let square = Numerics.square(algebra.widened(a), hessian, algebra)
    let own = try LowRankFitting(
      algebra, FactorStorage(storage.format), rounding: storage.rounding, iterations: 10
    ).fit(a, square: square, metric, rank: rank, start: start)
    #expect(own.error < square && own.error < before)
  }

  @Test("matrices of zeros and of a lower rank give finite factors", arguments: storages)
  private func degenerate(storage: Storage) throws {
    let (m, n, rank) = (20, 40, 6)
    let metric = try Numerics.metric(Numerics.hessian(n, seed: 131, algebra), algebra)
    let zero = try fitted(
      Matrix<Float>(rowCount: m, columnCount: n), metric, rank: rank, storage)
    #expect(zero.error == 0)
    let a = algebra.product(
      Numerics.weights(m, 2, seed: 132), Numerics.weights(2, n, seed: 133))
    let result = try fitted(a, metric, rank: rank, storage)
    let whole = Numerics.square(algebra.widened(a), algebra.widened(metric.hessian), algebra)
    // Two components of which nothing is left but their rounding: 11 bits, or 4 whose squared error is
    // 1.3 % of a Gaussian's variance in each factor.
    #expect(result.error.isFinite && result.error < (storage.format == .f16 ? 1e-5 : 0.05) * whole)
    for index in 0..<rank * n {
      #expect(result.factors.product.right.elements[index].isFinite)
    }
  }
}
