/// The dense factor F of the orthogonal matrix B (size, size) of an incoherence transform.
///
/// B spreads each number of a vector over all places. With size = order * width, width a power of two,
///
///     B = scale * (F kron Sylvester(width))
///
/// F (order, order) is, by the first rule that applies:
/// 1. the Hadamard matrix of the smallest order up to `largestHadamardOrder` for which `width` is a
///    power of two; the scale is 1 / sqrt(size). For powers of two the order is 1.
/// 2. otherwise, with the odd part of the size as order, up to `largestOrder`, an orthogonal matrix
///    drawn by a generator seeded with the order; the scale is 1 / sqrt(width).
///
/// F depends on the size alone, so these rules, the constructions of `HadamardMatrix` and the random
/// draws are part of the file format. Compressed models are computed with this F. The F that a model
/// stores is for other programs, and is only compared with this one.
///
/// Source: Tseng et al., QuIP#, arXiv:2402.04396, section 3.
package struct OrthogonalFactor: Sendable {
  /// The length of the vectors.
  package let size: Int
  /// The number of rows and columns of F.
  package let order: Int
  /// The length of the fast transforms, a power of two.
  package let width: Int
  /// Whether F is a Hadamard matrix, of ones and minus ones.
  package let isHadamard: Bool
  /// F (order, order), row major.
  package let entries: [Float]
  /// F transposed.
  let transposed: [Float]
  /// The number that the result is multiplied by.
  let scale: Float

  /// The largest order of an F that is a Hadamard matrix.
  ///
  /// The product with F costs `order` multiplications per number. 11008 = 43 * 256 has a Hadamard matrix
  /// of order 344, but a random matrix of order 43 spreads a vector equally well with an eighth of the
  /// multiplications: 8 instead of 55 microseconds in every `down_proj` of Llama-2-7B.
  package static let largestHadamardOrder = 256
  /// The largest order of F.
  ///
  /// Beyond it the product with F would take longer than the product with the weights.
  package static let largestOrder = 512

  /// The factor for vectors of `size` numbers.
  ///
  /// All transforms of a size can share one factor, which takes time to make.
  ///
  /// - Throws: `IncoherenceError` when the size is not positive or its odd part is too large.
  /// - Complexity: O(order^2) for Hadamard matrices, O(order^3) for random ones.
  package init(size: Int) throws(IncoherenceError) {
    guard size > 0 else { throw .notPositive(size: size) }
    let powerOfTwo = size & -size
    let odd = size / powerOfTwo
    let orders = sequence(first: odd) { $0 * 2 }
      .prefix { $0 <= min(size, Self.largestHadamardOrder) }
    self.size = size
    if let order = orders.first(where: HadamardMatrix.exists),
      let matrix = HadamardMatrix(order: order)
    {
      self.order = order
      entries = matrix.entries
      isHadamard = true
      scale = Float(1 / Double(size).squareRoot())
    } else {
      guard odd <= Self.largestOrder else {
        throw .oddPartTooLarge(size: size, oddPart: odd, largest: Self.largestOrder)
      }
      order = odd
      entries = Self.randomOrthogonal(order: odd)
      isHadamard = false
      scale = Float(1 / Double(powerOfTwo).squareRoot())
    }
    width = size / order
    transposed = Self.transposed(entries, order: order)
  }

  private static func transposed(_ entries: [Float], order: Int) -> [Float] {
    (0..<order * order).map { entries[$0 % order * order + $0 / order] }
  }

  /// The orthogonal factor Q of a random matrix L Q, L lower triangular with a positive diagonal.
  ///
  /// Rows are drawn one after another; the components along earlier rows are subtracted from each, and
  /// it is normalised (Gram-Schmidt). A second round of subtractions removes the rounding errors of the
  /// first: after it rows are orthogonal to about 1e-15 (Giraud et al., "Rounding error analysis of the
  /// classical Gram-Schmidt orthogonalization process", 2005).
  ///
  /// Everything but the final rounding to Float is in Double, in a fixed order and without functions
  /// that differ between platforms, so without a logarithm: a normal number is replaced by the sum of
  /// twelve uniform ones minus six, which has its mean, variance and symmetry.
  private static func randomOrthogonal(order: Int) -> [Float] {
    var generator = RandomGenerator(seed: UInt64(order))
    var rows: [[Double]] = []
    for _ in 0..<order {
      var row = (0..<order).map { _ in
        (0..<12).reduce(-6.0) { sum, _ in sum + generator.nextUnit() }
      }
      for _ in 0..<2 {
        for other in rows {
          let part = dot(row, other)
          for index in row.indices { row[index] -= part * other[index] }
        }
      }
      let length = dot(row, row).squareRoot()
      rows.append(row.map { $0 / length })
    }
    return rows.flatMap { $0.map { Float($0) } }
  }

  private static func dot(_ a: [Double], _ b: [Double]) -> Double {
    var sum = 0.0
    for index in a.indices { sum += a[index] * b[index] }
    return sum
  }
}
