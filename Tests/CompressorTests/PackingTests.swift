import DuetCompressor
import DuetRuntime
import DuetSystem
import Testing

@Suite("Packing")
struct PackingTests {
  private let algebra = LinearAlgebra(WorkerPool(threadCount: 2))

  private static let formats = WeightFormat.allCases

  /// Random values of a format with random scales, one in eight of which is zero.
  private func values(
    _ format: WeightFormat, _ groupSize: GroupSize, _ m: Int, _ n: Int, seed: UInt64
  ) -> QuantizedMatrix {
    var generator = RandomGenerator(seed: seed)
    var result = QuantizedMatrix(
      PackedLayout(format, groupSize: groupSize, outputSize: m, inputSize: n))
    let width = groupSize.columnCount ?? n
    for row in 0..<m {
      for group in 0..<result.layout.groupCount {
        let scale = generator.next() % 8 == 0 ? 0 : Float(Float16(generator.nextUnit() + 0.01))
        result.scales[row, group] = scale
        let columns = group * width..<min((group + 1) * width, n)
        switch format.coding {
        case .lattice:
          for start in stride(from: columns.lowerBound, to: columns.upperBound, by: 8) {
            let code = UInt16(truncatingIfNeeded: generator.next())
            let point = SIMD8<Float>(LatticeCodebook.e8p.point(of: code)) * format.unit * scale
            for column in start..<min(start + 8, columns.upperBound) {
              result.values[row, column] = point[column - start]
            }
          }
        case .integers:
          for column in columns {
            let code = Float(generator.next() % (UInt64(format.largestCode) + 1))
            result.values[row, column] = (code - format.zeroPoint) * scale
          }
        case .trellis: break
        }
      }
    }
    guard format.coding == .trellis else { return result }
    // Values of random bits, which the rows of a tile share.
    let code = TrellisCode(format)
    for tile in 0..<(m + 63) / 64 {
      for column in 0..<n {
        let bits = (0..<code.bitCount).map { _ in UInt8(generator.next() >> 63) }
        for row in 64 * tile..<min(64 * tile + 64, m) {
          let integer = code.integer(row: row % 64, bits: bits.span)
          result.values[row, column] = Float(integer) * (result.scales[row, 0] * format.unit)
        }
      }
    }
    return result
  }

  /// The group sizes that a format can have.
  private func groupSizes(
    _ format: WeightFormat, _ sizes: [GroupSize] = GroupSize.allCases
  ) -> [GroupSize] {
    format.coding == .trellis ? [.row] : sizes
  }

  @Test(
    "a packed matrix has the values and scales that were packed",
    arguments: formats, [(1, 8), (15, 64), (16, 128), (17, 130), (33, 31), (48, 1), (130, 300)])
  func roundTrip(format: WeightFormat, shape: (Int, Int)) throws {
    let (m, n) = shape
    for groupSize in groupSizes(format) {
      let matrix = values(format, groupSize, m, n, seed: 171)
      let packed = try Packing("layer", algebra).packed(matrix)
      let dense = packed.dense()
      for row in 0..<m {
        for group in 0..<matrix.layout.groupCount {
          #expect(Float(packed.scale(row: row, group: group)) == matrix.scales[row, group])
        }
      }
      // Equal as numbers: with a scale of zero a zero may have either sign.
      let areEqual = (0..<m * n).allSatisfy { dense[$0] == matrix.values.elements[$0] }
      #expect(areEqual, "\(groupSize)")
    }
  }

  @Test("what was rounded with feedback can be packed", arguments: formats)
  func rounded(format: WeightFormat) throws {
    for (m, n) in [(5, 12), (33, 130)] {
      let weight = Numerics.weights(m, n, seed: 172, deviation: 0.02)
      let metric = try Numerics.metric(Numerics.hessian(n, seed: 173, algebra), algebra)
      let rounding = FeedbackRounding(algebra, Numerics.grid(format))
      for groupSize in groupSizes(format, [.columns32, .row]) {
        var q = QuantizedMatrix(
          PackedLayout(format, groupSize: groupSize, outputSize: m, inputSize: n))
        rounding.round(weight, feedback: metric.feedback, into: &q)
        rounding.polish(weight, hessian: metric.hessian, sweeps: 2, &q)
        let dense = try Packing("layer", algebra).packed(q).dense()
        let areEqual = (0..<m * n).allSatisfy { dense[$0] == q.values.elements[$0] }
        #expect(areEqual)
      }
    }
  }

  @Test("a scale beyond F16 is refused")
  func scaleTooLarge() throws {
    var matrix = values(.int4, .row, 3, 8, seed: 174)
    matrix.scales[1, 0] = 1e6
    for column in 0..<8 { matrix.values[1, column] = 0.5e6 }
    #expect(throws: PackedMatrixError.scaleNotFinite(row: 1, group: 0)) {
      _ = try Packing("layer", algebra).packed(matrix)
    }
  }

  @Test("the bytes of columns are those of their tensors", arguments: [1, 3, 8])
  func columnBytes(count: Int) throws {
    let layout = CompressedFormat.columnsLayout(outputSize: 33, count: count)
    #expect(layout.format == .int8 && layout.groupSize == .row)
    let packed = try Packing("layer", algebra).packed(values(.int8, .row, 33, count, seed: 175))
    #expect(Packing.columnsByteCount(outputSize: 33, count: count) == packed.byteCount + 4 * count)
    #expect(Packing.columnsByteCount(outputSize: 33, count: 0) == 0)
  }
}
