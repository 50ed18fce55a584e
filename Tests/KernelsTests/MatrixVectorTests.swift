import DuetRuntime
import Kernels
import Testing

/// The products of every set against sums in Double.
@Suite("Kernels for dense products")
struct MatrixVectorTests {
  enum Stored: CaseIterable { case f32, f16, bf16 }

  /// A matrix in one element type: four bytes, so that it is misaligned, its own, and its values.
  struct Weights {
    var bytes: [UInt8] = [0, 0, 0, 0]
    var values: [Float]

    init(_ type: Stored, _ count: Int, _ generator: inout RandomGenerator) {
      let drawn = gaussians(count, &generator)
      switch type {
      case .f32:
        values = drawn
        bytes += drawn.withUnsafeBytes(Array.init)
      case .f16:
        values = drawn.map { Float(Float16($0)) }
        bytes += drawn.map { Float16($0).bitPattern }.withUnsafeBytes(Array.init)
      case .bf16:
        values = drawn.map { float(bfloat16Bits: bfloat16Bits($0)) }
        bytes += drawn.map(bfloat16Bits).withUnsafeBytes(Array.init)
      }
    }
  }

  static let cases = kernelTables.flatMap { name in Stored.allCases.map { (name, $0) } }

  @Test("products equal the sums in Double", arguments: cases)
  func equalsTheSumInDouble(name: String, type: Stored) {
    var generator = RandomGenerator(seed: 1)
    for columns in awkwardLengths {
      for (rows, tokens) in [(1, 1), (3, 1), (2, 2), (3, 3), (5, 4)] {
        let stride = columns + 3
        let weights = Weights(type, rows * columns, &generator)
        let x = gaussians(stride * tokens + 1, &generator)
        let y = product(name, type, weights, rows, columns, x, stride, tokens)
        for token in 0..<tokens {
          for row in 0..<rows {
            var exact = 0.0
            var magnitude = 0.0
            for column in 0..<columns {
              let term =
                Double(weights.values[row * columns + column])
                * Double(x[1 + token * stride + column])
              exact += term
              magnitude += abs(term)
            }
            // A sum of n products in any order, each operation rounded: n u sum |a b|, and one more
            // rounding for the result (Higham, Accuracy and Stability, section 3.1).
            let bound = Double(columns + 1) * unitRoundoff * magnitude
            let difference = abs(Double(y[token * (rows + 2) + row]) - exact)
            #expect(
              difference <= bound, "\(name) \(type) columns \(columns) row \(row) token \(token)")
          }
        }
        // What stands between the rows of the output is not touched.
        for token in 0..<tokens { #expect(y[token * (rows + 2) + rows] == 77) }
      }
    }
  }

  @Test("a token does not depend on its neighbours", arguments: cases)
  func aTokenDoesNotDependOnItsNeighbours(name: String, type: Stored) {
    var generator = RandomGenerator(seed: 2)
    for columns in [17, 200, 1000] {
      let weights = Weights(type, 3 * columns, &generator)
      let x = gaussians(columns * 4 + 1, &generator)
      let together = product(name, type, weights, 3, columns, x, columns, 4)
      for token in 0..<4 {
        let own = [0] + x[(1 + token * columns)..<(1 + (token + 1) * columns)]
        let alone = product(name, type, weights, 3, columns, Array(own), columns, 1)
        #expect(alone[0..<3] == together[token * 5..<token * 5 + 3])
      }
    }
  }

  /// The product of `name`'s table.
  ///
  /// x begins one float into its array, so it is misaligned. The outputs of a token are rows + 2 apart, and 77 where nothing was written.
  private func product(
    _ name: String, _ type: Stored, _ weights: Weights, _ rows: Int, _ columns: Int, _ x: [Float],
    _ stride: Int, _ tokens: Int
  ) -> [Float] {
    let set = table(name)
    var y = [Float](repeating: 77, count: tokens * (rows + 2))
    x.withUnsafeBufferPointer { x in
      weights.bytes.withUnsafeBytes { bytes in
        y.withUnsafeMutableBufferPointer { y in
          guard let x = x.baseAddress, let y = y.baseAddress, let w = bytes.baseAddress else {
            return
          }
          let kernel =
            switch type {
            case .f32: set.matvec_f32
            case .f16: set.matvec_f16
            case .bf16: set.matvec_bf16
            }
          kernel(w + 4, rows, columns, x + 1, stride, tokens, y, rows + 2)
        }
      }
    }
    return y
  }
}
