import DuetRuntime
import DuetSystem
import TestSupport
import Testing

/// Random matrices of awkward shapes, packed and read back, and files that must be refused.
@Suite("Packed matrices")
struct PackedMatrixTests {
  static let rows = [1, 15, 16, 17, 33]
  static let columns = [1, 4, 6, 8, 12, 16, 20, 24, 31, 32, 33, 40, 127, 128, 129, 288, 344]

  /// A random matrix and what it was made of.
  struct Sample {
    var layout: PackedLayout
    var codes: [UInt8] = []
    var latticeCodes: [UInt16] = []
    var trellisBits: [UInt8] = []
    var scales: [Float]
    var offsets: [Float]?

    init(_ layout: PackedLayout, hasOffsets: Bool = false, seed: UInt64 = 1) {
      var generator = RandomGenerator(seed: seed)
      self.layout = layout
      let groups = layout.outputSize * layout.groupCount
      scales = (0..<groups).map { _ in Float(Float16(0.5 + generator.nextUnit())) }
      if hasOffsets {
        offsets = (0..<groups).map { _ in Float(Float16(4 * generator.nextUnit() - 2)) }
      }
      if layout.format.coding == .trellis {
        let count = layout.panelCount / 4 * layout.inputSize * TrellisCode(layout.format).bitCount
        trellisBits = (0..<count).map { _ in UInt8(generator.next() >> 63) }
        return
      }
      for _ in 0..<layout.outputSize * layout.codesPerRow {
        let number = generator.next()
        if layout.format == .e8p {
          latticeCodes.append(UInt16(truncatingIfNeeded: number))
        } else {
          codes.append(UInt8(truncatingIfNeeded: number) & layout.format.largestCode)
        }
      }
    }

    func packed() throws -> PackedMatrix {
      if layout.format == .e8p {
        return try PackedMatrix(packing: latticeCodes.span, layout: layout, scales: scales.span)
      } else if layout.format.coding == .trellis {
        return try PackedMatrix(
          packingTrellis: trellisBits.span, layout: layout, scales: scales.span)
      } else if let offsets {
        return try PackedMatrix(
          packing: codes.span, layout: layout, scales: scales.span, offsets: offsets.span)
      }
      return try PackedMatrix(packing: codes.span, layout: layout, scales: scales.span)
    }

    /// The number that the matrix stands for at a place, by the formulas of `PackedMatrix`.
    func value(_ row: Int, _ column: Int) -> Float {
      let group = row * layout.groupCount + column / (layout.groupSize.columnCount ?? .max)
      if layout.format.coding == .trellis {
        let code = TrellisCode(layout.format)
        let first = (row / 64 * layout.inputSize + column) * code.bitCount
        let bits = Array(trellisBits[first..<first + code.bitCount])
        return scales[row] * Float(code.integer(row: row % 64, bits: bits.span)) / 16
      }
      let code = row * layout.codesPerRow + column / (layout.format == .e8p ? 8 : 1)
      if layout.format == .e8p {
        let point = LatticeCodebook.e8p.point(of: latticeCodes[code])
        return scales[group] * (Float(point[column % 8]) / 4)
      } else if let offsets {
        return scales[group] * Float(codes[code]) + offsets[group]
      }
      return scales[group] * (Float(codes[code]) - layout.format.zeroPoint)
    }
  }

  static let cases: [(WeightFormat, GroupSize, Bool)] = WeightFormat.allCases.flatMap { format in
    (format.coding == .trellis ? [GroupSize.row] : GroupSize.allCases).flatMap { group in
      (format.coding == .integers ? [false, true] : [false]).map { (format, group, $0) }
    }
  }

  @Test("a packed matrix comes back", arguments: cases)
  func comesBack(format: WeightFormat, group: GroupSize, hasOffsets: Bool) throws {
    for rows in Self.rows {
      for columns in Self.columns {
        let layout = PackedLayout(
          format, groupSize: group, outputSize: rows, inputSize: columns)
        let sample = Sample(layout, hasOffsets: hasOffsets, seed: UInt64(rows * 1000 + columns))
        let matrix = try sample.packed()
        let context = "\(rows) x \(columns)"
        #expect(matrix.hasOffsets == hasOffsets)
        #expect(matrix.outputSize == rows && matrix.inputSize == columns)
        switch format.coding {
        case .integers:
          #expect(firstDifference(matrix.unpackedCodes(), sample.codes) == nil, "\(context)")
        case .lattice:
          #expect(
            firstDifference(matrix.unpackedLatticeCodes(), sample.latticeCodes) == nil,
            "\(context)")
        case .trellis:
          #expect(
            firstDifference(matrix.unpackedTrellisBits(), sample.trellisBits) == nil, "\(context)")
        }
        let dense = matrix.dense()
        let expected = (0..<rows).flatMap { row in
          (0..<columns).map { sample.value(row, $0) }
        }
        #expect(firstDifference(dense, expected) == nil, "\(context)")
        let tensors = matrix.storedTensors(named: "w")
        #expect(tensors.reduce(0) { $0 + $1.byteCount } == matrix.byteCount)
        #expect(tensors.allSatisfy { $0.byteOffset % 64 == 0 })
        let reopened = try PackedMatrix(
          checkpoint(tensors), "w", layout: layout,
          grid: matrix.hasOffsets ? .asymmetric : .symmetric)
        #expect(reopened.hasOffsets == hasOffsets)
        #expect(firstDifference(reopened.dense(), dense) == nil, "\(context)")
      }
    }
  }

  @Test("rows of padding have scales and offsets of zero")
  func paddedRowsHaveScalesAndOffsetsOfZero() throws {
    let layout = PackedLayout(.int4, groupSize: .columns32, outputSize: 17, inputSize: 40)
    let matrix = try Sample(layout, hasOffsets: true).packed()
    for tensor in matrix.storedTensors(named: "w") where tensor.elementType == .f16 {
      for index in 0..<tensor.elementCount {
        let bits = unsafe tensor.bytes.unsafeLoad(fromByteOffset: 2 * index, as: UInt16.self)
        // (2 panels, 2 groups, 16): all but row 0 of the second panel is padding.
        #expect((bits == 0) == (index >= 32 && index % 16 > 0), "\(tensor.name) \(index)")
      }
    }
  }

  @Test("random bytes are codes, too", arguments: WeightFormat.allCases)
  func randomBytesAreCodesToo(format: WeightFormat) throws {
    let hasGroups = format.coding != .trellis
    let layout = PackedLayout(
      format, groupSize: hasGroups ? .columns64 : .row, outputSize: 64, inputSize: 128)
    var generator = RandomGenerator(seed: 3)
    let codes = (0..<layout.codeByteCount).map { _ in UInt8.random(in: 0...255, using: &generator) }
    let scales = [Float16](repeating: 0.25, count: layout.scaleCount)
    let matrix = try PackedMatrix(layout: layout, codes: codes.span, scales: scales.span)
    #expect(firstDifference(matrix.codeArray, codes) == nil)
    #expect(matrix.dense().allSatisfy { $0.isFinite })
    #expect(matrix.bitsPerWeight == format.bitsPerCode + (hasGroups ? 0.25 : 0.125))
    // Without padding every bit is part of a code, so packing again gives the same bytes.
    let numbers = [Float](repeating: 0.25, count: 64 * layout.groupCount)
    let again =
      switch format.coding {
      case .integers:
        try PackedMatrix(
          packing: matrix.unpackedCodes().span, layout: layout, scales: numbers.span)
      case .lattice:
        try PackedMatrix(
          packing: matrix.unpackedLatticeCodes().span, layout: layout, scales: numbers.span)
      case .trellis:
        try PackedMatrix(
          packingTrellis: matrix.unpackedTrellisBits().span, layout: layout, scales: numbers.span)
      }
    #expect(firstDifference(again.codeArray, codes) == nil)
  }

  // MARK: - Refusals

  private func checkpoint(_ tensors: [StoredTensor]) -> Checkpoint {
    Checkpoint(configuration: .smallest, tensors: tensors, folder: "f")
  }

  private func tensor(
    _ name: String, _ type: ElementType, _ shape: [Int], _ bytes: [UInt8]? = nil
  ) throws -> StoredTensor {
    let count = shape.reduce(1, *) * type.byteCount
    let file = try MappedFile(bytes ?? [UInt8](repeating: 0, count: count), path: "p")
    return StoredTensor(name: name, elementType: type, shape: shape, file: file, byteOffset: 0)
  }

  private func refusal(
    _ tensors: [StoredTensor], _ layout: PackedLayout, _ grid: GridKind = .symmetric
  ) -> CheckpointError? {
    do throws(CheckpointError) {
      _ = try PackedMatrix(checkpoint(tensors), "w", layout: layout, grid: grid)
      return nil
    } catch {
      return error
    }
  }

  /// The bytes of `count` halves, zero but for the last.
  private func halves(_ count: Int, last: Float16) -> [UInt8] {
    let bits = last.bitPattern
    return [UInt8](repeating: 0, count: 2 * count - 2) + [UInt8(bits & 255), UInt8(bits >> 8)]
  }

  @Test("tensors of another shape or type are refused")
  func tensorsOfAnotherShapeOrTypeAreRefused() throws {
    let layout = PackedLayout(.int2, groupSize: .columns32, outputSize: 17, inputSize: 33)
    let codes = try tensor("w.codes", .u8, [2, 256])
    let scales = try tensor("w.scales", .f16, [2, 2, 16])
    #expect(refusal([codes, scales], layout) == nil)
    #expect(
      refusal([scales], layout) == .tensorNotFound(path: "f", tensor: "w.codes"))
    #expect(
      refusal([codes], layout) == .tensorNotFound(path: "f", tensor: "w.scales"))
    #expect(
      refusal([try tensor("w.codes", .i8, [2, 256]), scales], layout)
        == .elementTypeMismatch(path: "p", tensor: "w.codes", expected: [.u8], actual: .i8))
    #expect(
      refusal([try tensor("w.codes", .u8, [512]), scales], layout)
        == .shapeMismatch(path: "p", tensor: "w.codes", expected: [2, 256], actual: [512]))
    #expect(
      refusal([codes, try tensor("w.scales", .bf16, [2, 2, 16])], layout)
        == .elementTypeMismatch(path: "p", tensor: "w.scales", expected: [.f16], actual: .bf16))
    #expect(
      refusal([codes, try tensor("w.scales", .f16, [2, 1, 16])], layout)
        == .shapeMismatch(
          path: "p", tensor: "w.scales", expected: [2, 2, 16], actual: [2, 1, 16]))
    #expect(
      refusal([codes, scales, try tensor("w.offsets", .f16, [2, 32])], layout, .asymmetric)
        == .shapeMismatch(path: "p", tensor: "w.offsets", expected: [2, 2, 16], actual: [2, 32]))
    #expect(
      refusal([codes, scales, try tensor("w.offsets", .u8, [2, 2, 16])], layout, .asymmetric)
        == .elementTypeMismatch(path: "p", tensor: "w.offsets", expected: [.f16], actual: .u8))
  }

  @Test(
    "scales and offsets that are not finite are refused",
    arguments: [Float16.nan, .infinity, -.infinity, .greatestFiniteMagnitude, -0.0])
  func scalesThatAreNotFiniteAreRefused(last: Float16) throws {
    let layout = PackedLayout(.int4, groupSize: .row, outputSize: 48, inputSize: 8)
    let codes = try tensor("w.codes", .u8, [3, 64])
    let good = try tensor("w.scales", .f16, [3, 1, 16])
    let bad = try tensor("w.scales", .f16, [3, 1, 16], halves(48, last: last))
    let offsets = try tensor("w.offsets", .f16, [3, 1, 16], halves(48, last: last))
    #expect(
      refusal([codes, bad], layout)
        == (last.isFinite ? nil : .nonFiniteValues(path: "p", tensor: "w.scales")))
    #expect(
      refusal([codes, good, offsets], layout, .asymmetric)
        == (last.isFinite ? nil : .nonFiniteValues(path: "p", tensor: "w.offsets")))
  }

  /// 40 rows take three panels of 16; a scale in the last eight rows belongs to a larger matrix.
  @Test(
    "scales and offsets of padding other than zero are refused",
    arguments: [(Float16(0), true), (-0.0, true), (1, false), (-6e-8, false)])
  func scalesOfPaddedRowsAreZero(last: Float16, isAccepted: Bool) throws {
    let layout = PackedLayout(.int4, groupSize: .row, outputSize: 40, inputSize: 8)
    let codes = try tensor("w.codes", .u8, [3, 64])
    let good = try tensor("w.scales", .f16, [3, 1, 16])
    for name in ["w.scales", "w.offsets"] {
      let padded = try tensor(name, .f16, [3, 1, 16], halves(48, last: last))
      let expected = CheckpointError.valuesInPadding(path: "p", tensor: name, rowCount: 40)
      #expect(
        refusal(
          [codes, padded] + (name == "w.offsets" ? [good] : []), layout,
          name == "w.offsets" ? .asymmetric : .symmetric)
          == (isAccepted ? nil : expected))
    }
  }

  @Test("offsets that the grid has no use for are refused")
  func offsetsThatTheGridHasNoUseForAreRefused() throws {
    let layout = PackedLayout(.e8p, groupSize: .row, outputSize: 16, inputSize: 32)
    let codes = try tensor("w.codes", .u8, [1, 128])
    let scales = try tensor("w.scales", .f16, [1, 1, 16])
    #expect(
      refusal([codes, scales, try tensor("w.offsets", .f16, [1, 1, 16])], layout)
        == .unexpectedTensor(path: "p", tensor: "w.offsets"))
    #expect(refusal([codes, scales], layout) == nil)
    let integers = PackedLayout(.int4, groupSize: .row, outputSize: 16, inputSize: 16)
    #expect(
      refusal([codes, scales, try tensor("w.offsets", .f16, [1, 1, 16])], integers)
        == .unexpectedTensor(path: "p", tensor: "w.offsets"))
    #expect(
      refusal([codes, scales], integers, .asymmetric)
        == .tensorNotFound(path: "f", tensor: "w.offsets"))
  }

  @Test("scales and offsets beyond half precision are refused")
  func numbersBeyondHalfPrecisionAreRefused() throws {
    let layout = PackedLayout(.int2, groupSize: .columns32, outputSize: 20, inputSize: 64)
    var sample = Sample(layout, hasOffsets: true)
    // 65519.99 rounds to 65504, the largest half, 65520 to infinity.
    sample.scales[18 * 2 + 1] = 65519.99
    #expect(try sample.packed().scale(row: 18, group: 1) == 65504)
    sample.scales[18 * 2 + 1] = 65520
    #expect(throws: PackedMatrixError.scaleNotFinite(row: 18, group: 1)) { try sample.packed() }
    sample.scales[18 * 2 + 1] = 1
    sample.offsets?[3 * 2] = .nan
    #expect(throws: PackedMatrixError.offsetNotFinite(row: 3, group: 0)) { try sample.packed() }
  }

  @Test(
    "rows that are unpacked together have the values of single rows",
    arguments: WeightFormat.allCases)
  func rowsTogether(format: WeightFormat) throws {
    // Whole tiles and parts of them, columns that are no multiple of eight, and more than a group of 128.
    for (rows, columns) in [(64, 40), (70, 135), (3, 1), (129, 264), (191, 7)] {
      let packed = try randomPacked(
        PackedLayout(format, groupSize: .row, outputSize: rows, inputSize: columns), seed: 5)
      var ranges = stride(from: 0, to: rows, by: packed.rowsTogether).map {
        $0..<min($0 + packed.rowsTogether, rows)
      }
      // Rows that are no tile, and none.
      ranges += [0..<rows, 1..<min(rows, 4), rows / 2..<rows, 0..<0]
      for range in ranges {
        var together = [Float](repeating: -1, count: range.count * columns + 1)
        unsafe together.withUnsafeMutableBufferPointer { buffer in
          if let base = buffer.baseAddress { unsafe packed.dequantize(rows: range, into: base) }
        }
        var single: [Float] = []
        for row in range {
          var numbers = [Float](repeating: 0, count: columns)
          var span = numbers.mutableSpan
          packed.dequantize(row: row, into: &span)
          single += numbers
        }
        // Nothing behind the rows is written.
        #expect(together == single + [-1], "\(rows) x \(columns), \(range)")
      }
    }
  }

  @Test("codes that are too large stop the program")
  func codesThatAreTooLargeStopTheProgram() async {
    await #expect(processExitsWith: .failure) {
      let layout = PackedLayout(.int3, groupSize: .row, outputSize: 17, inputSize: 33)
      var codes = [UInt8](repeating: 7, count: 17 * 33)
      codes[17 * 33 - 1] = 8
      let scales = [Float](repeating: 1, count: 17)
      _ = try PackedMatrix(packing: codes.span, layout: layout, scales: scales.span)
    }
  }
}
