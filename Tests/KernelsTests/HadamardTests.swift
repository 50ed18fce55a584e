import DuetRuntime
import DuetSystem
import Kernels
import Testing

/// The steps of the randomised Hadamard transform: exact against their definition in Double where that
/// is possible, and bit for bit against the portable set.
@Suite("Kernels for the Hadamard transform")
struct HadamardTests {
  /// The other sets.
  static let vectorTables = kernelTables.filter { $0 != "portable" }

  /// Around the vector widths, the registers of one pass, and the sizes of models.
  static let powers = (0...14).map { 1 << $0 }

  /// Columns around one and two vectors of every set.
  static let columnCounts = [0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 63, 64, 100]

  /// Heights around the tiles of every set, and orders of matrices.
  static let orders = [1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 20, 28, 43]

  @Test("numbers are multiplied by their signs", arguments: kernelTables)
  func multipliesSigns(name: String) {
    var generator = RandomGenerator(seed: 21)
    for count in awkwardLengths {
      // One place into each array: misaligned.
      let signs: [Int8] = (0...count).map { _ in generator.next() & 1 == 0 ? 1 : -1 }
      var x = gaussians(count + 1, &generator)
      if count > 2 { (x[1], x[2]) = (0, -.infinity) }
      let expected = (1..<count + 1).map { (Float(signs[$0]) * x[$0]).bitPattern }
      var apart = [Float](repeating: 77, count: count + 2)
      var inPlace = x + [77]
      signs.withUnsafeBufferPointer { signs in
        guard let signs = signs.baseAddress else { return }
        apart.withUnsafeMutableBufferPointer { y in
          guard let y = y.baseAddress else { return }
          x.withUnsafeBufferPointer { x in
            guard let x = x.baseAddress else { return }
            table(name).multiply_signs(signs + 1, x + 1, count, y + 1)
          }
        }
        inPlace.withUnsafeMutableBufferPointer { y in
          guard let y = y.baseAddress else { return }
          table(name).multiply_signs(signs + 1, y + 1, count, y + 1)
        }
      }
      #expect(apart[1..<count + 1].map(\.bitPattern) == expected, "\(name) \(count)")
      #expect(inPlace[1..<count + 1].map(\.bitPattern) == expected, "\(name) \(count) in place")
      #expect(apart[0] == 77 && apart[count + 1] == 77 && inPlace[count + 1] == 77)
    }
  }

  @Test("the transform follows its definition", arguments: kernelTables)
  func transformsAsDefined(name: String) {
    var generator = RandomGenerator(seed: 22)
    for n in Self.powers where n <= 1024 {
      let x = gaussians(n, &generator)
      let scale = 1 / Float(n).squareRoot()
      let y = transformed(name, x, rows: 1, n, scale, offset: 0)
      let magnitude = Double(scale) * x.reduce(0) { $0 + Double(abs($1)) }
      // One rounding per stage and one for the scale; the last 1 covers second-order terms.
      let bound = Double(n.trailingZeroBitCount + 2) * unitRoundoff * magnitude
      let wrong = (0..<n).filter { i in
        var exact = 0.0
        for j in 0..<n {
          exact += (i & j).nonzeroBitCount % 2 == 0 ? Double(x[j]) : -Double(x[j])
        }
        return !(abs(Double(y[i]) - Double(scale) * exact) <= bound)
      }
      #expect(wrong == [], "\(name) \(n)")
    }
  }

  @Test("every set transforms as the portable one does, bit for bit", arguments: vectorTables)
  func transformsAsPortableDoes(name: String) {
    var generator = RandomGenerator(seed: 23)
    for n in Self.powers {
      for rows in n > 2048 ? [1, 2] : [0, 1, 2, 3, 5, 12] {
        // Numbers of all magnitudes, so that a sum in another order would be rounded otherwise.
        let x = gaussians(rows * n, &generator).enumerated().map { index, value in
          value * Float(sign: .plus, exponent: index * 7 % 40 - 20, significand: 1)
        }
        let offset = Int(generator.next() % 16)
        let y = transformed(name, x, rows: rows, n, 0.3, offset: offset)
        let expected = transformed("portable", x, rows: rows, n, 0.3, offset: 0)
        let equal = y.map(\.bitPattern) == expected.map(\.bitPattern)
        #expect(equal, "\(name) \(rows) x \(n) at \(offset)")
      }
    }
  }

  @Test("NaN and infinity are passed on", arguments: kernelTables)
  func passesOnWhatIsNotFinite(name: String) {
    for n in [1, 4, 16, 64, 512] {
      var x = [Float](repeating: 1, count: n)
      x[n / 2] = .nan
      #expect(transformed(name, x, rows: 1, n, 1, offset: 0).allSatisfy { $0.isNaN })
      // Each result has the infinity once.
      x[n / 2] = .infinity
      #expect(transformed(name, x, rows: 1, n, 1, offset: 0).allSatisfy { $0.isInfinite })
    }
  }

  @Test("products with a dense factor follow their definition", arguments: kernelTables)
  func mixesAsDefined(name: String) {
    var generator = RandomGenerator(seed: 24)
    for order in Self.orders {
      for columns in Self.columnCounts {
        let factor = gaussians(order * order, &generator)
        let x = gaussians(order * columns, &generator)
        let y = mixed(name, factor, order, order, x, columns, stride: columns)
        let wrong = y.indices.filter { index in
          let (i, c) = (index / columns, index % columns)
          var exact = 0.0
          var magnitude = 0.0
          for k in 0..<order {
            let term = Double(factor[i * order + k]) * Double(x[k * columns + c])
            exact += term
            magnitude += abs(term)
          }
          // One rounding per term, and 1 for second-order terms.
          let bound = Double(order + 1) * unitRoundoff * magnitude
          return !(abs(Double(y[index]) - exact) <= bound)
        }
        #expect(wrong == [], "\(name) \(order) x \(columns)")
      }
    }
  }

  @Test(
    "every set multiplies by a factor as the portable one does, bit for bit",
    arguments: vectorTables)
  func mixesAsPortableDoes(name: String) {
    var generator = RandomGenerator(seed: 25)
    for outputs in Self.orders {
      for columns in Self.columnCounts {
        let inputs = 1 + Int(generator.next() % 50)
        // The rows of x and y are further apart than they are long.
        let stride = columns + Int(generator.next() % 20)
        let factor = gaussians(outputs * inputs, &generator)
        let x = gaussians(max(0, (inputs - 1) * stride + columns), &generator)
        let y = mixed(name, factor, outputs, inputs, x, columns, stride: stride)
        let expected = mixed("portable", factor, outputs, inputs, x, columns, stride: stride)
        let equal = y.map(\.bitPattern) == expected.map(\.bitPattern)
        #expect(
          equal,
          "\(name) \(outputs) x \(inputs), \(columns) columns of \(stride)")
      }
    }
  }

  @Test("parts of a product are those of the whole", arguments: kernelTables)
  func partsOfAProductAreTheWhole(name: String) {
    var generator = RandomGenerator(seed: 26)
    let (order, width) = (28, 50)
    let factor = gaussians(order * order, &generator)
    let x = gaussians(order * width, &generator)
    let whole = mixed(name, factor, order, order, x, width, stride: width)
    for rows in [0..<28, 0..<5, 5..<28, 13..<14] {
      for columns in [0..<50, 0..<32, 3..<4, 17..<50] {
        let part = mixed(
          name, Array(factor[rows.lowerBound * order..<rows.upperBound * order]), rows.count, order,
          Array(x[columns.lowerBound...]), columns.count, stride: width)
        for row in rows {
          let start = (row - rows.lowerBound) * width
          #expect(
            Array(part[start..<start + columns.count])
              == Array(whole[row * width..<(row + 1) * width][columns.shifted(by: row * width)]))
        }
      }
    }
  }

  /// The transform of `rows` rows of n by `name`'s table, `offset` floats behind a cache line.
  private func transformed(
    _ name: String, _ x: [Float], rows: Int, _ n: Int, _ scale: Float, offset: Int
  ) -> [Float] {
    var buffer = Buffer<Float>(count: offset + x.count + 1)
    for (index, value) in x.enumerated() { buffer[offset + index] = value }
    buffer[offset + x.count] = 77
    table(name).hadamard(buffer.pointer + offset, rows, n, scale)
    #expect(buffer[offset + x.count] == 77)
    return (0..<x.count).map { buffer[offset + $0] }
  }

  /// The product with the dense factor by `name`'s table, (outputs, stride) without the last gap; 77 where
  /// nothing may be written.
  private func mixed(
    _ name: String, _ factor: [Float], _ outputs: Int, _ inputs: Int, _ x: [Float], _ columns: Int,
    stride: Int
  ) -> [Float] {
    var y = [Float](repeating: 77, count: outputs * stride)
    table(name).mix_rows(factor, outputs, inputs, x, columns, stride, &y)
    for i in 0..<outputs {
      #expect(y[i * stride + columns..<(i + 1) * stride].allSatisfy { $0 == 77 })
    }
    return y
  }
}

extension Range<Int> {
  fileprivate func shifted(by offset: Int) -> Range<Int> {
    lowerBound + offset..<upperBound + offset
  }
}
