import DuetRuntime
import Kernels
import Testing

/// Products with packed matrices: every set against `portable`, bit for bit, and `portable` against
/// integers and Double.
@Suite("Kernels for packed products")
struct PackedProductTests {
  struct Shape {
    let rows: Int
    let columns: Int
    let tokens: Int
  }

  /// Rows around panels of 16 and blocks of four panels; columns around 32, 128 and their padding; tokens
  /// around tiles of 3, 6 and 12 and none of them.
  static let shapes = [
    Shape(rows: 1, columns: 1, tokens: 1), Shape(rows: 15, columns: 31, tokens: 2),
    Shape(rows: 16, columns: 32, tokens: 3), Shape(rows: 17, columns: 33, tokens: 5),
    Shape(rows: 63, columns: 127, tokens: 6), Shape(rows: 64, columns: 128, tokens: 7),
    Shape(rows: 65, columns: 129, tokens: 13), Shape(rows: 97, columns: 416, tokens: 29),
    Shape(rows: 33, columns: 1000, tokens: 96),
  ]

  /// The widths of left factors and of outlier columns: quarters of an activation group that blocks fill
  /// in part, alone and behind whole ones.
  static let narrow = [4, 6, 8, 12, 16, 20, 24, 40, 100, 132, 136, 148]

  static let fastSets = kernelTables.filter { $0 != "portable" }

  @Test(
    "every set agrees with the portable one, bit for bit", arguments: fastSets, PackedBytes.formats)
  func everySetAgreesWithPortable(name: String, format: kernels_format) {
    var generator = RandomGenerator(seed: 1)
    for groupSize in PackedBytes.groupSizes(format) {
      for hasOffsets in PackedBytes.canHaveOffsets(format) {
        let narrow =
          groupSize == 0 ? Self.narrow.map { Shape(rows: 81, columns: $0, tokens: 7) } : []
        for shape in Self.shapes + narrow {
          let matrix = PackedBytes(
            format, rows: shape.rows, columns: shape.columns, groupSize: groupSize,
            hasOffsets: hasOffsets, misalignment: shape.rows % 64, &generator)
          let x = gaussians(shape.columns * shape.tokens, &generator)
          let input = QuantizedTokens("portable", x, columns: shape.columns, tokens: shape.tokens)
          let rows = 0..<shape.rows
          let tokens = 0..<shape.tokens
          let expected = packedProduct("portable", [matrix], [input], rows: rows, tokens: tokens)
          let actual = packedProduct(name, [matrix], [input], rows: rows, tokens: tokens)
          #expect(
            actual.map(\.bitPattern) == expected.map(\.bitPattern),
            "\(name) \(format) groups \(groupSize) offsets \(hasOffsets) \(shape)")
          // One token after the other takes the other functions of the table.
          for token in tokens {
            let alone = packedProduct(
              name, [matrix], [input], rows: rows, tokens: token..<token + 1)
            let row = expected[token * shape.rows..<(token + 1) * shape.rows]
            #expect(
              alone.map(\.bitPattern) == row.map(\.bitPattern),
              "\(name) \(format) groups \(groupSize) offsets \(hasOffsets) \(shape) token \(token)")
          }
        }
      }
    }
  }

  /// The kernels against the dense values of the Swift side, which share nothing with them.
  ///
  /// With scales of 1 every sum is an integer multiple of the format's
  /// unit, below 2^24 of them, so that Float holds it exactly: 15 * 127 * 416 for codes up to four bits,
  /// 11 * 127 * 416 for e8p and 31 * 127 * 416 for trellis codes; int8 keeps to 128 columns, 128 * 127 * 128.
  @Test("sums of integers are exact", arguments: kernelTables, PackedBytes.formats)
  func integerSumsAreExact(name: String, format: kernels_format) throws {
    var generator = RandomGenerator(seed: 2)
    for fill in CodeFill.allCases {
      for groupSize in PackedBytes.groupSizes(format) {
        let columns = format == KERNELS_INT8 ? 128 : 416
        let matrix = PackedBytes(
          format, rows: 33, columns: columns, groupSize: groupSize, fill: fill, unitScales: true,
          &generator)
        for extreme in [1, 2, 3] {
          let tokens = 5
          var input: [Float] = []
          for index in 0..<tokens * columns {
            // Of magnitude 127 at most, and at the first of every group, so that the scale is 1.
            switch extreme {
            case 1: input.append(index % 2 == 0 ? 127 : -127)
            case 2: input.append(127)
            default:
              let drawn = Float(Int(generator.next() % 255) - 127)
              input.append(index % columns % 128 == 0 ? -127 : drawn)
            }
          }
          let quantized = QuantizedTokens(name, input, columns: columns, tokens: tokens)
          let y = packedProduct(name, [matrix], [quantized], rows: 0..<33, tokens: 0..<tokens)
          let single = packedProduct(name, [matrix], [quantized], rows: 0..<33, tokens: 2..<3)
          let dense = try matrix.matrix().dense()
          for token in 0..<tokens {
            for row in 0..<33 {
              var exact = 0.0
              for column in 0..<columns {
                exact +=
                  Double(dense[row * matrix.columns + column])
                  * Double(input[token * columns + column])
              }
              #expect(
                Double(y[token * 33 + row]) == exact,
                "\(name) \(format) \(fill) groups \(groupSize) input \(extreme) row \(row)")
              if token == 2 { #expect(single[row] == y[token * 33 + row]) }
            }
          }
        }
      }
    }
  }

  @Test(
    "the portable set is within a bound of the products in Double", arguments: PackedBytes.formats)
  func portableIsWithinTheBoundOfDouble(format: kernels_format) throws {
    var generator = RandomGenerator(seed: 3)
    for groupSize in PackedBytes.groupSizes(format) {
      for hasOffsets in PackedBytes.canHaveOffsets(format) {
        let columns = 1000
        let matrix = PackedBytes(
          format, rows: 16, columns: columns, groupSize: groupSize, hasOffsets: hasOffsets,
          &generator)
        let input = QuantizedTokens(
          "portable", gaussians(columns, &generator), columns: columns, tokens: 1)
        let y = packedProduct("portable", [matrix], [input], rows: 0..<16, tokens: 0..<1)
        let packed = try matrix.matrix()
        let dense = packed.dense()
        for row in 0..<16 {
          var exact = 0.0
          var magnitude = 0.0
          for column in 0..<columns {
            let x = Double(input.values[column]) * Double(input.scales[column / 128])
            let weight = Double(dense[row * matrix.columns + column])
            exact += weight * x
            let offset = packed.offset(row: row, group: groupSize == 0 ? 0 : column / groupSize)
            // scale * code and the offset, which are rounded apart, may cancel in the weight.
            magnitude += (abs(weight) + 2 * abs(Double(offset ?? 0))) * abs(x)
          }
          // The integer sums are exact. Each of at most 32 groups rounds a product of two scales and a
          // fused addition, with offsets twice; a scale per row rounds as often once more at the end. A
          // weight with an offset was rounded when it became dense.
          let bound = Double(2 * 2 * 33 + 1) * unitRoundoff * magnitude
          #expect(
            abs(Double(y[row]) - exact) <= bound,
            "\(format) groups \(groupSize) offsets \(hasOffsets) row \(row)")
        }
      }
    }
  }

  @Test("terms are added, and rows and tokens may start anywhere", arguments: kernelTables)
  func termsAreAddedAndRowsMayStartAnywhere(name: String) {
    var generator = RandomGenerator(seed: 4)
    let q = PackedBytes(KERNELS_E8P, rows: 150, columns: 300, groupSize: 0, &generator)
    let left = PackedBytes(KERNELS_INT4, rows: 150, columns: 20, groupSize: 32, &generator)
    let z = QuantizedTokens(name, gaussians(300 * 4, &generator), columns: 300, tokens: 4)
    let t = QuantizedTokens(name, gaussians(20 * 4, &generator), columns: 20, tokens: 4)
    let whole = packedProduct("portable", [q, left], [z, t], rows: 0..<150, tokens: 0..<4)
    for rows in [0..<150, 16..<150, 64..<65, 144..<150, 0..<16] {
      for tokens in [0..<4, 1..<2, 2..<4] {
        let part = packedProduct(name, [q, left], [z, t], rows: rows, tokens: tokens)
        for (index, token) in tokens.enumerated() {
          let expected = whole[token * 150 + rows.lowerBound..<token * 150 + rows.upperBound]
          let actual = part[index * rows.count..<(index + 1) * rows.count]
          #expect(actual.elementsEqual(expected), "\(name) rows \(rows) tokens \(tokens)")
        }
      }
    }
    let onlyQ = packedProduct("portable", [q], [z], rows: 0..<150, tokens: 0..<4)
    #expect(onlyQ != whole)
    // With a trellis code rows may start at any multiple of 64.
    let trellis = PackedBytes(KERNELS_TRELLIS2_5, rows: 150, columns: 300, groupSize: 0, &generator)
    let both = packedProduct("portable", [trellis, left], [z, t], rows: 0..<150, tokens: 0..<4)
    for rows in [0..<150, 64..<150, 64..<65, 128..<150, 0..<16] {
      let part = packedProduct(name, [trellis, left], [z, t], rows: rows, tokens: 1..<2)
      #expect(
        part.elementsEqual(both[150 + rows.lowerBound..<150 + rows.upperBound]),
        "\(name) rows \(rows)")
    }
  }
}
