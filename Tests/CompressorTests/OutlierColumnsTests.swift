import DuetCompressor
import DuetRuntime
import DuetSystem
import Testing

@Suite("OutlierColumns")
struct OutlierColumnsTests {
  private let algebra = LinearAlgebra(WorkerPool(threadCount: 2))
  private let n = 48
  private let channels = [3, 17, 40]

  /// Damped by 0.05; the complement, and H + 0.05 I itself.
  private func complemented(
    _ rotation: MatrixRotation? = nil
  ) throws -> (columns: OutlierColumns, complement: Complement) {
    let hessian = Numerics.hessian(n, seed: 71, algebra)
    var complement = hessian.copy()
    let columns = try OutlierColumns(
      channels, complementing: &complement, damping: 0.05, rotation: rotation, algebra)
    var damped = hessian.copy()
    for index in 0..<n { damped[index, index] += 0.05 }
    return (columns, Complement(damped: damped, complement: complement))
  }

  /// Two matrices that a tuple cannot hold.
  private final class Complement {
    let damped: Matrix<Double>
    let complement: Matrix<Double>

    init(damped: consuming Matrix<Double>, complement: consuming Matrix<Double>) {
      self.damped = damped
      self.complement = complement
    }
  }

  /// E - C E_O^T.
  private func without(
    _ c: borrowing Matrix<Double>, _ e: borrowing Matrix<Double>
  ) -> Matrix<Double> {
    var result = e.copy()
    for row in 0..<e.rowCount {
      for (index, channel) in channels.enumerated() { result[row, channel] -= c[row, index] }
    }
    return result
  }

  @Test("C = (W - B) P is the best, and what it leaves is the Schur complement's")
  func minimum() throws {
    let (columns, matrices) = try complemented()
    let e = Numerics.gaussian(9, n, seed: 72)
    let c = algebra.product(e, algebra.widened(columns.projection), transposesRight: true)
    let left = Numerics.square(without(c, e), matrices.damped, algebra)
    let expected = Numerics.square(e, matrices.complement, algebra)
    // P is rounded to single precision, which costs its square only: 2^-48 of tr(E H E^T).
    #expect(abs(left - expected) < 1e-12 * Numerics.square(e, matrices.damped, algebra))
    // The normal equations: (E - C E_O^T) H E_O = 0.
    let gradient = algebra.product(without(c, e), matrices.damped)
    let size = Numerics.largest(algebra.product(e, matrices.damped))
    for row in 0..<9 {
      // k + 1 products of numbers rounded to single precision.
      for channel in channels { #expect(abs(gradient[row, channel]) < 1e-6 * size) }
    }
    for seed in 0..<20 {
      var other = c.copy()
      let change = Numerics.gaussian(9, 3, seed: UInt64(73 + seed), deviation: 0.01)
      for index in 0..<27 { other.elements[index] += change.elements[index] }
      #expect(Numerics.square(without(other, e), matrices.damped, algebra) > left)
    }
  }

  @Test("the complement is zero on the channels, and the Gram matrix is H there")
  func complement() throws {
    let (columns, matrices) = try complemented()
    #expect(columns.channels == channels && columns.damping == 0.05)
    for (i, channel) in channels.enumerated() {
      for column in 0..<n {
        #expect(matrices.complement[channel, column] == 0)
        #expect(matrices.complement[column, channel] == 0)
        #expect(columns.selector[i, column] == (column == channel ? 1 : 0))
      }
      for (j, other) in channels.enumerated() {
        #expect(columns.gram[i, j] == matrices.damped[channel, other])
        // P is the unit matrix on the channels themselves.
        #expect(abs(columns.projection[i, other] - (i == j ? 1 : 0)) < 1e-6)
      }
    }
  }

  @Test("rotated columns are those of the rotated inputs")
  func rotation() throws {
    let rotation = try MatrixRotation(sizes: [n], seed: 3, KernelSet.standard, algebra)
    let (plain, _) = try complemented()
    let (rotated, _) = try complemented(rotation)
    var selector = plain.selector.copy()
    var projection = plain.projection.copy()
    rotation.rotateRows(&selector)
    rotation.rotateRows(&projection)
    Numerics.expectIdentical(selector, rotated.selector)
    Numerics.expectIdentical(projection, rotated.projection)
  }

  @Test(
    "a problem's squares are of all of W, its weight without the channels",
    arguments: [false, true])
  func problem(isRotated: Bool) throws {
    let m = 16
    let hessian = Numerics.hessian(n, seed: 74, algebra)
    let rotation =
      isRotated ? try MatrixRotation(sizes: [m, n], seed: 4, KernelSet.standard, algebra) : nil
    let metric = try Numerics.metric(hessian, columnCount: 3, rotation: rotation, algebra)
    let weight = Numerics.weights(m, n, seed: 75)
    let problem = try Numerics.problem(weight, metric, algebra, outputRotation: rotation)
    let mean = (0..<n).reduce(0) { $0 + hessian[$1, $1] } / Double(n)
    let wide = algebra.widened(weight)
    let measured = Numerics.square(wide, hessian, algebra) / mean
    let energy = (0..<m * n).reduce(0.0) { $0 + wide.elements[$1] * wide.elements[$1] }
    // Products in single precision of H and W, n of them with either sign in each sum.
    #expect(abs(problem.measuredSquare - measured) < 1e-5 * measured)
    #expect(abs(problem.dampedSquare - measured - 0.01 * energy) < 1e-5 * measured)
    var own = problem.weight.copy()
    var outliers = problem.outlierWeights.copy()
    rotation?.rotateRowsBack(&own)
    rotation?.rotateColumnsBack(&own)
    rotation?.rotateColumnsBack(&outliers)
    let largest = metric.ranking.prefix(3).sorted()
    #expect(metric.columns?.channels == largest && metric.columnCount == 3)
    for row in 0..<m {
      for column in 0..<n {
        let isOutlier = largest.contains(column)
        // Rotated there and back in single precision.
        #expect(abs(own[row, column] - (isOutlier ? 0 : weight[row, column])) < 1e-5)
      }
      for (index, channel) in largest.enumerated() {
        #expect(abs(outliers[row, index] - weight[row, channel]) < 1e-5)
      }
    }
  }
}
