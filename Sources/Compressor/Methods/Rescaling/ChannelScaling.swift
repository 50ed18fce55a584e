package import DuetRuntime
internal import DuetSystem

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#else
  internal import Darwin
#endif

/// AWQ's search for the rescaling of inputs under which rounding to nearest has the least error.
///
/// A weight whose input is large should be rounded with a smaller error than others. With s > 0 for
/// every input and the inputs divided by it,
///
///     W x = (W diag(s)) (diag(s)^-1 x),      s = a^alpha / sqrt(max a^alpha * min a^alpha),
///
/// where a (n) is the size of the inputs, and alpha is the one of 0, 1/20, ..., 19/20 with the least
///
///     sum over the linear layers of an input of tr(E H E^T),      E = round(W diag(s)) diag(s)^-1 - W.
///
/// Here a is the root mean square; AWQ takes the mean magnitude.
///
/// Source: Lin et al., AWQ, arXiv:2306.00978, section 3.2, and the authors' program.
package struct ChannelScaling: ~Copyable {
  /// The number of exponents that are tried.
  package static let exponentCount = 20

  private let algebra: LinearAlgebra
  private let options: QuantizationOptions
  private let rounding: FeedbackRounding
  /// H divided by the mean of its diagonal, not damped; (n, n).
  private let hessian: Matrix<Float>
  /// a, (n).
  private let sizes: [Float]

  /// A search for the linear layers that share an input.
  ///
  /// - Parameters:
  ///   - measured: E[x x^T], (n, n), finite, not zero.
  ///   - options: How the weights will be rounded.
  ///   - algebra: The linear algebra to compute with.
  package init(
    _ measured: borrowing Matrix<Double>, _ options: QuantizationOptions, _ algebra: LinearAlgebra
  ) {
    let n = measured.rowCount
    let mean = (0..<n).reduce(0) { $0 + measured[$1, $1] } / Double(n)
    var hessian = Matrix<Float>(rowCount: n, columnCount: n)
    for index in 0..<n * n { hessian.elements[index] = Float(measured.elements[index] / mean) }
    // An input that is nearly always zero counts as 1e-4 of the root mean square of all.
    sizes = (0..<n).map { max(hessian[$0, $0].squareRoot(), 1e-4) }
    self.hessian = hessian
    self.algebra = algebra
    self.options = options
    rounding = FeedbackRounding(algebra, options.grid)
  }

  /// s for the exponent number `index`, (n).
  package borrowing func factors(_ index: Int) -> [Float] {
    let exponent = Float(index) / Float(Self.exponentCount)
    let powers = sizes.map { pow($0, exponent) }
    let (smallest, largest) = (powers.min() ?? 1, powers.max() ?? 1)
    let middle = (smallest * largest).squareRoot()
    return powers.map { $0 / middle }
  }

  /// tr(W H W^T), in the units of `errors`.
  package borrowing func square(of weight: borrowing Matrix<Float>) -> Double {
    algebra.square(weight, in: hessian)
  }

  /// The errors tr(E H E^T) of one weight matrix, for every exponent.
  ///
  /// - Complexity: O(exponents * m n^2).
  package borrowing func errors(of weight: borrowing Matrix<Float>) -> [Double] {
    let (m, n) = (weight.rowCount, weight.columnCount)
    var result: [Double] = []
    for index in 0..<Self.exponentCount {
      let factors = factors(index)
      var scaled = weight.copy()
      algebra.scaleColumns(&scaled, by: factors)
      var quantized = options.zeros(outputSize: m, inputSize: n)
      rounding.roundToNearest(
        scaled,
        importances: (0..<n).map { hessian[$0, $0] / (factors[$0] * factors[$0]) + 1e-12 },
        into: &quantized)
      algebra.add(quantized.values, scale: -1, to: &scaled)
      algebra.scaleColumns(&scaled, by: factors.map { 1 / $0 })
      result.append(algebra.square(scaled, in: hessian))
    }
    return result
  }
}

extension LinearAlgebra {
  /// A <- A diag(factors).
  func scaleColumns(_ a: inout Matrix<Float>, by factors: [Float]) {
    let (columns, target) = unsafe (a.columnCount, a.pointer)
    pool.run(a.rowCount) { row, _ in
      for column in 0..<columns { unsafe target[row * columns + column] *= factors[column] }
    }
  }

  /// A <- diag(factors) A.
  func scaleRows(_ a: inout Matrix<Float>, by factors: [Float]) {
    let (columns, target) = unsafe (a.columnCount, a.pointer)
    pool.run(a.rowCount) { row, _ in
      for column in 0..<columns { unsafe target[row * columns + column] *= factors[row] }
    }
  }
}
