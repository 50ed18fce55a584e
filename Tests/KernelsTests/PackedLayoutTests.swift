import DuetRuntime
import DuetSystem
import Kernels
import Testing

/// The kernel sets that have packed products.
private let packedTables = kernelTables.filter {
  unsafeBitCast(table($0).packed_matvec.0, to: Int.self) != 0
}

/// What the runtime packs means the same to the kernels: products with unit vectors give its numbers.
@Suite("Packed layout in the kernels")
struct PackedLayoutTests {
  /// The columns of a matrix as the kernels see them: (inputSize, outputSize), by one-hot activations.
  ///
  /// With one activation 1 of scale 1 the kernels' sum has one term that is not zero, and each step of
  /// `kernels_packed_sum` on it is exact, but for the sum with an offset, which is rounded once.
  private func columns(_ name: String, _ matrix: PackedMatrix) -> [Float] {
    let columns = matrix.inputSize
    let stored = matrix.layout.paddedInputSize
    var result = [Float](repeating: .nan, count: columns * matrix.outputSize)
    let tokens = Int(KERNELS_TOKEN_BLOCK)
    for start in stride(from: 0, to: columns, by: tokens) {
      let count = min(tokens, columns - start)
      let groups = (stored + 127) / 128
      var values = [Int8](repeating: 0, count: groups * count * 128)
      var sums = [Int32](repeating: 0, count: groups * count * 4)
      for token in 0..<count {
        var column = start + token
        sums[(column / 128 * 4 + column % 128 / 32) * count + token] = 1
        if matrix.format == .e8p {
          // The order of reorder_e8p: position 4s + k of a block holds column 8k + s.
          column = column / 32 * 32 + column % 8 * 4 + column % 32 / 8
        }
        values[(column / 128 * count + token) * 128 + column % 128] = 1
      }
      let scales = [Float](repeating: 1, count: groups * count)
      var set = table(name)
      values.withUnsafeBufferPointer { values in
        scales.withUnsafeBufferPointer { scales in
          sums.withUnsafeBufferPointer { sums in
            result.withUnsafeMutableBufferPointer { result in
              guard let values = values.baseAddress, let scales = scales.baseAddress,
                let sums = sums.baseAddress, let result = result.baseAddress
              else { return }
              var term = kernels_term(
                weight: matrix.kernelsPacked,
                activations: kernels_activations(
                  values: values, scales: scales, sums: sums, tokens: count, tables: nil))
              kernels_packed_product(
                &set, &term, 1, 0, matrix.outputSize, 0, count,
                result + start * matrix.outputSize, matrix.outputSize)
            }
          }
        }
      }
    }
    return withExtendedLifetime(matrix) { result }
  }

  /// (rows, columns) to (columns, rows).
  private func transposed(_ numbers: [Float], rows: Int) -> [Float] {
    let columns = numbers.count / rows
    return (0..<columns).flatMap { column in (0..<rows).map { numbers[$0 * columns + column] } }
  }

  static let cases = packedTables.flatMap { name in
    WeightFormat.allCases.flatMap { format in
      (format.coding == .trellis ? [GroupSize.row] : GroupSize.allCases).flatMap { group in
        (format.coding == .integers ? [false, true] : [false]).map { (name, format, group, $0) }
      }
    }
  }

  @Test("products with unit vectors are the numbers that were packed", arguments: cases)
  func productsWithUnitVectorsAreTheNumbers(
    name: String, format: WeightFormat, group: GroupSize, hasOffsets: Bool
  ) throws {
    var generator = RandomGenerator(seed: 8)
    for (rows, columns) in [
      (1, 1), (17, 6), (16, 12), (33, 20), (16, 24), (17, 33), (16, 40), (33, 129), (16, 344),
    ] {
      let layout = PackedLayout(format, groupSize: group, outputSize: rows, inputSize: columns)
      func halves(_ low: Double) -> [Float16] {
        (0..<layout.scaleCount).map { _ in Float16(low + 3 * generator.nextUnit()) }
      }
      // Every byte is a code, those of the padding too.
      let codes = (0..<layout.codeByteCount).map { _ in UInt8.random(in: 0...255, using: &generator)
      }
      let scales = halves(0.1)
      let offsets = halves(-1.5)
      let matrix = try PackedMatrix(
        layout: layout, codes: codes.span, scales: scales.span,
        offsets: hasOffsets ? offsets.span : nil)
      let products = self.columns(name, matrix)
      let numbers = transposed(matrix.dense(), rows: rows)
      let differing = numbers.indices.first { products[$0] != numbers[$0] }
      #expect(differing == nil, "\(rows) x \(columns)")
    }
  }

  @Test("every code of E8P means the point of the codebook", arguments: packedTables)
  func everyLatticeCodeMeansTheSamePoint(name: String) throws {
    let layout = PackedLayout(.e8p, groupSize: .row, outputSize: 16384, inputSize: 32)
    let codes = (UInt16(0)...UInt16.max).map { $0 }
    // The scale 4 makes the numbers those of `LatticeCodebook`, which are four times the coordinates.
    let scales = [Float](repeating: 4, count: 16384)
    let matrix = try PackedMatrix(packing: codes.span, layout: layout, scales: scales.span)
    let columns = columns(name, matrix)
    let wrong = codes.filter { code in
      let (row, k) = (Int(code) / 4, Int(code) % 4)
      let point = SIMD8<Float>(LatticeCodebook.e8p.point(of: code))
      return (0..<8).contains { columns[(8 * k + $0) * 16384 + row] != point[$0] }
    }
    #expect(wrong.isEmpty, "\(wrong.count) codes, the first \(wrong.prefix(1))")
  }
}
