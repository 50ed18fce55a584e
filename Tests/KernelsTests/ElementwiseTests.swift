import DuetRuntime
import Foundation
import Kernels
import Testing

/// The element-wise steps of a layer against Double.
@Suite("Kernels for single elements")
struct ElementwiseTests {
  @Test("sums are correctly rounded", arguments: kernelTables)
  func adds(name: String) {
    var generator = RandomGenerator(seed: 4)
    for count in awkwardLengths {
      let x = gaussians(count, &generator)
      let before = gaussians(count + 1, &generator)
      var y = before
      table(name).add(x, count, &y)
      // One addition, correctly rounded: exact equality with Float's own.
      #expect(Array(y[..<count]) == zip(x, before).map { $0 + $1 })
      #expect(y[count] == before[count])
    }
  }

  @Test("RMS normalisation equals the formula in Double", arguments: kernelTables)
  func normalizes(name: String) {
    var generator = RandomGenerator(seed: 5)
    for count in awkwardLengths where count > 0 {
      let x = gaussians(count, &generator).map { $0 * 30 }
      let w = gaussians(count, &generator)
      var y = [Float](repeating: 0, count: count)
      table(name).rms_norm(x, w, count, 1e-5, &y)
      let meanSquare = x.reduce(0) { $0 + Double($1) * Double($1) } / Double(count) + 1e-5
      for index in 0..<count {
        let exact = Double(w[index]) * Double(x[index]) / meanSquare.squareRoot()
        // The sum of n squares is within (n + 1) u of itself relatively, its root within half of that;
        // mean, epsilon (its own conversion to Float too), root, quotient and two products add u each.
        let bound = (Double(count + 1) / 2 + 7) * unitRoundoff * abs(exact)
        #expect(abs(Double(y[index]) - exact) <= bound, "\(name) \(count) \(index)")
      }
    }
  }

  @Test("RoPE rotates pairs as the formula in Double does", arguments: kernelTables)
  func rotates(name: String) {
    var generator = RandomGenerator(seed: 6)
    for half in [1, 3, 4, 8, 16, 20, 32, 64] {
      let heads = 3
      let x = gaussians(heads * 2 * half, &generator)
      let cosine = (0..<half).map { Float(cos(Double($0) + 0.3)) }
      let sine = (0..<half).map { Float(sin(Double($0) + 0.3)) }
      var y = x
      table(name).rotate(&y, heads, 2 * half, cosine, sine)
      for head in 0..<heads {
        for i in 0..<half {
          let a = Double(x[head * 2 * half + i])
          let b = Double(x[head * 2 * half + half + i])
          let c = Double(cosine[i])
          let s = Double(sine[i])
          // Two products and a sum, each rounded at most once: 2 u of the magnitudes.
          let bound = 2 * unitRoundoff * (abs(a) + abs(b))
          #expect(abs(Double(y[head * 2 * half + i]) - (a * c - b * s)) <= bound)
          #expect(abs(Double(y[head * 2 * half + half + i]) - (b * c + a * s)) <= bound)
        }
      }
    }
  }

  @Test("SiLU times the other input equals the formula in Double", arguments: kernelTables)
  func gates(name: String) {
    var generator = RandomGenerator(seed: 7)
    for count in awkwardLengths {
      var gate = gaussians(count, &generator).map { $0 * 8 }
      for (index, special) in [Float(0), -100, 100, -87.4, 88.5, -1e30, 1e30].enumerated() {
        if index < count { gate[index] = special }
      }
      let up = gaussians(count, &generator)
      var y = gate
      let input = gate
      y.withUnsafeMutableBufferPointer { y in
        guard let place = y.baseAddress else { return }
        table(name).silu_product(place, up, count, place)
      }
      for index in 0..<count {
        let a = Double(input[index])
        let exact = a / (1 + exp(-a)) * Double(up[index])
        // e^-a to 2 ulp = 4 u, the sum, the quotient and the product u each: 7 u. Below -87 the
        // kernels take e^-a as at most e^88, so the result may be off by |a| e^-87 |up|.
        let bound = 7 * unitRoundoff * abs(exact) + abs(a) * 1.7e-38 * abs(Double(up[index]))
        #expect(abs(Double(y[index]) - exact) <= bound, "\(name) silu(\(a))")
      }
    }
  }

  @Test("the logarithm of a sum of exponentials equals that in Double", arguments: kernelTables)
  func normalisesLogits(name: String) {
    var generator = RandomGenerator(seed: 8)
    for count in awkwardLengths where count > 0 {
      for offset in [Float(0), 1000, -1000] {
        let x = gaussians(count, &generator).map { $0 * 10 + offset }
        let maximum = Double(x.max() ?? 0)
        let exact = maximum + log(x.reduce(0) { $0 + exp(Double($1) - maximum) })
        // Each x - maximum is rounded by up to u |x - maximum| <= 130 u, each exponential by 4 u, and
        // the sum of 64 by 64 u: relative errors of the sum, so absolute ones of its logarithm.
        let bound = 200 * unitRoundoff
        let result = table(name).log_sum_exp(x, count)
        #expect(abs(result - exact) <= bound, "\(name) \(count)")
      }
    }
    let broken: [Float] = [1, .nan, 2] + [Float](repeating: 0, count: 20)
    let result = table(name).log_sum_exp(broken, broken.count)
    #expect(!result.isFinite)
  }

  @Test("the comparison of logits equals that by the library", arguments: kernelTables)
  func comparesLogits(name: String) {
    var generator = RandomGenerator(seed: 9)
    for count in awkwardLengths where count > 0 {
      // A spread of 300 has exponentials that are zero.
      for (offset, spread) in [(Float(0), Float(10)), (1000, 10), (-1000, 10), (0, 300)] {
        let x = gaussians(count, &generator).map { $0 * spread + offset }
        let y = zip(x, gaussians(count, &generator)).map { $0 + $1 }
        let (normalizer, other) = (normalizer(x), normalizer(y))
        let terms = zip(x, y).map { exp(Double($0) - normalizer) * (Double($0) - Double($1)) }
        // In units of 2^-53, relative: exponentials to 8, differences and products to 1 each, sums to
        // `count`, here and there; the exponential here to another 2000, because the normaliser is
        // rounded at its size of up to 1000 before.
        let bound = 2 * (12 + Double(count)) * 0x1p-53
        var found = kernels_comparison()
        table(name).compare_logits(x, y, count, &found)
        let size = terms.reduce(0) { $0 + abs($1) }
        #expect(
          abs(found.mean_difference - terms.reduce(0, +)) <= (bound + 2000 * 0x1p-53) * size,
          "\(name) \(count)")
        #expect(abs(found.x_normalizer - normalizer) <= bound * (1 + abs(normalizer)))
        #expect(abs(found.y_normalizer - other) <= bound * (1 + abs(other)))
      }
    }
  }

  /// log(sum of exp(x)) by the library, in Double.
  private func normalizer(_ x: [Float]) -> Double {
    let maximum = Double(x.max() ?? 0)
    return maximum + log(x.reduce(0) { $0 + exp(Double($1) - maximum) })
  }

  @Test("every number that is not finite is seen", arguments: kernelTables)
  func seesEveryNonFiniteNumber(name: String) {
    for count in awkwardLengths.filter({ $0 < 300 }) {
      var x = [Float](repeating: Float.greatestFiniteMagnitude, count: count)
      #expect(table(name).all_finite(x, count) == 1)
      for place in 0..<count {
        for bad in [Float.infinity, -.infinity, .nan] {
          x[place] = bad
          #expect(table(name).all_finite(x, count) == 0, "\(name) \(bad) at \(place)")
        }
        x[place] = 1
      }
    }
  }
}
