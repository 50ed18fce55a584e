import DuetRuntime
import TestSupport
import Testing

/// The layout of each format, byte by byte: the examples of `PackedFormats.h` and codes far from them.
@Suite("Weight formats")
struct WeightFormatTests {
  // MARK: - Sizes

  @Test("sizes are those of the C header")
  func sizesAreThoseOfTheHeader() {
    #expect(
      WeightFormat.allCases.map(\.rawValue) == [
        "int2", "int3", "int4", "int8", "e8p", "trellis2", "trellis2.5", "trellis3",
      ])
    #expect(WeightFormat.allCases.map(\.bitsPerCode) == [2, 3, 4, 8, 2, 2, 2.5, 3])
    #expect(WeightFormat.allCases.map(\.blockColumns) == [16, 32, 8, 4, 32, 32, 32, 32])
    #expect(
      WeightFormat.allCases.map(\.blockByteCount) == [64, 192, 64, 64, 128, 128, 160, 192])
    #expect(WeightFormat.allCases.map(\.tileRows) == [16, 16, 16, 16, 16, 64, 64, 64])
    #expect(WeightFormat.allCases.map(\.zeroPoint) == [1.5, 3.5, 7.5, 128, 0, 0, 0, 0])
    #expect(
      WeightFormat.allCases.map(\.unit) == [0.5, 0.5, 0.5, 1, 0.25, 0.0625, 0.0625, 0.0625])
    #expect(
      WeightFormat.allCases.map(\.largestCode) == [3, 7, 15, 255, 255, 255, 255, 255])
    #expect(WeightFormat(rawValue: "int5") == nil)
  }

  @Test("group sizes are read from their names")
  func groupSizesAreParsed() {
    #expect(GroupSize(rawValue: "32")?.columnCount == 32)
    #expect(GroupSize(rawValue: "64")?.columnCount == 64)
    #expect(GroupSize(rawValue: "128")?.columnCount == 128)
    #expect(GroupSize(rawValue: "row") == .row)
    #expect(GroupSize.row.columnCount == nil)
    #expect(GroupSize(columnCount: 64) == .columns64)
    for text in ["", "0", "16", "256", "Row", "032"] { #expect(GroupSize(rawValue: text) == nil) }
    #expect(GroupSize(columnCount: 0) == nil)
  }

  @Test("shapes are those of the tensors in a file")
  func shapesAreThoseOfTheFile() {
    let grouped = PackedLayout(.int3, groupSize: .columns128, outputSize: 17, inputSize: 129)
    #expect(grouped.paddedInputSize == 256)
    #expect(grouped.codesShape == [2, 256 * 16 * 3 / 8])
    #expect(grouped.scalesShape == [2, 2, 16])
    #expect(grouped.codesPerRow == 129)
    let row = PackedLayout(.e8p, groupSize: .row, outputSize: 16, inputSize: 129)
    #expect(row.paddedInputSize == 160)
    #expect(row.codesShape == [1, 160 * 16 / 4])
    #expect(row.scalesShape == [1, 1, 16])
    #expect(row.codesPerRow == 17)
    let tiles = PackedLayout(.trellis2_5, groupSize: .row, outputSize: 65, inputSize: 129)
    #expect(tiles.paddedInputSize == 160)
    #expect(tiles.codesShape == [8, 160 * 16 * 5 / 16])
    #expect(tiles.scalesShape == [8, 1, 16])
    #expect(tiles.paddedScaleIndices == Array(65..<128))
  }

  /// Ranks and numbers of outlier columns, and the columns that are stored of them.
  @Test(
    "narrow rows are padded to a block",
    arguments: [
      (WeightFormat.int2, [16, 16, 16, 16, 16, 32, 32, 48]),
      (.int3, [32, 32, 32, 32, 32, 32, 32, 64]), (.int4, [8, 8, 8, 16, 16, 24, 24, 40]),
      (.int8, [4, 8, 8, 12, 16, 20, 24, 40]), (.e8p, [32, 32, 32, 32, 32, 32, 32, 64]),
    ])
  func narrowRowsArePaddedToABlock(format: WeightFormat, stored: [Int]) {
    for (columns, padded) in zip([4, 6, 8, 12, 16, 20, 24, 40], stored) {
      let row = PackedLayout(format, groupSize: .row, outputSize: 100, inputSize: columns)
      #expect(row.paddedInputSize == padded)
      #expect(row.panelByteCount == padded / format.blockColumns * format.blockByteCount)
      #expect(row.groupCount == 1)
      let grouped = PackedLayout(
        format, groupSize: .columns32, outputSize: 100, inputSize: columns)
      #expect(grouped.paddedInputSize == (columns + 31) / 32 * 32)
    }
  }

  // 16 / 128 bits of a scale for each weight, 16 / 4096 with one for a row of 4096.
  @Test(
    "bits per weight count scales and offsets",
    arguments: [
      (WeightFormat.int2, GroupSize.columns128, false, 2.125), (.int2, .columns128, true, 2.25),
      (.int2, .columns32, false, 2.5), (.int3, .columns64, false, 3.25),
      (.int4, .row, false, 4.00390625), (.int8, .row, false, 8.00390625),
      (.e8p, .row, false, 2.00390625),
    ])
  func bitsPerWeightCountEverything(
    format: WeightFormat, group: GroupSize, hasOffsets: Bool, bits: Double
  ) {
    let layout = PackedLayout(format, groupSize: group, outputSize: 4096, inputSize: 4096)
    #expect(layout.bitsPerWeight(hasOffsets: hasOffsets) == bits)
  }

  @Test("bits per weight count padding")
  func bitsPerWeightCountPadding() {
    // 32 rows x 128 columns of 2 bits and 32 scales of 16 bits for 17 x 65 weights.
    let layout = PackedLayout(.int2, groupSize: .columns128, outputSize: 17, inputSize: 65)
    #expect(layout.byteCount() == 32 * 128 / 4 + 32 * 2)
    #expect(layout.bitsPerWeight() == Double(32 * 128 * 2 + 32 * 16) / (17 * 65))
  }

  // MARK: - Bytes

  /// The codes of a matrix in which only the given ones, (row, column, code), are not zero.
  private func codeBytes(
    _ format: WeightFormat, _ rows: Int, _ columns: Int, _ given: [(Int, Int, UInt8)]
  ) throws -> [UInt8] {
    let layout = PackedLayout(format, groupSize: .row, outputSize: rows, inputSize: columns)
    var codes = [UInt8](repeating: 0, count: rows * columns)
    for (row, column, code) in given { codes[row * columns + column] = code }
    let scales = [Float](repeating: 1, count: rows)
    let matrix = try PackedMatrix(packing: codes.span, layout: layout, scales: scales.span)
    return matrix.codeArray
  }

  /// `codes` in the columns of `row` from the first.
  private func line(_ row: Int, _ codes: [UInt8]) -> [(Int, Int, UInt8)] {
    codes.enumerated().map { (row, $0, $1) }
  }

  /// Expects these bytes and zeros everywhere else.
  private func expect(_ bytes: [UInt8], count: Int, nonzero: [Int: UInt8]) {
    #expect(bytes.count == count)
    let found = bytes.enumerated().filter { $0.element != 0 }.map { ($0.offset, $0.element) }
    #expect(Dictionary(uniqueKeysWithValues: found) == nonzero)
  }

  @Test("the bytes of int2 are those of the C header")
  func int2Bytes() throws {
    let first = try codeBytes(.int2, 16, 32, line(0, [0, 1, 2, 3, 3, 2, 1, 0]))
    expect(first, count: 128, nonzero: [0: 0x0C, 1: 0x09, 2: 0x06, 3: 0x03])
    // Panel 1 begins at 128, its second block 64 later, row 15 at 60; column 31 is 12 + 3 there.
    let last = try codeBytes(.int2, 32, 32, [(31, 31, 2)])
    expect(last, count: 256, nonzero: [255: 0x80])
  }

  @Test("the bytes of int3 are those of the C header")
  func int3Bytes() throws {
    let codes = line(0, [7, 0, 0, 0, 5]) + [(0, 24, 6)]
    expect(try codeBytes(.int3, 16, 32, codes), count: 192, nonzero: [0: 0xEF])
    // Panel 1 begins at 384, its second block 192 later. Column 63 is 28 + 3 there: the high bits of 3,
    // 01, go to bits 7 and 6 of vector B, the low one to bit 7 of vector C.
    let last = try codeBytes(.int3, 32, 64, [(31, 63, 3)])
    expect(last, count: 768, nonzero: [384 + 192 + 64 + 63: 0x40, 384 + 192 + 128 + 63: 0x80])
    // Columns 20 + i and 8 + i of row 1.
    let middle = try codeBytes(.int3, 16, 32, [(1, 22, 5), (1, 9, 6)])
    expect(middle, count: 192, nonzero: [128 + 4 + 2: 5 << 3, 64 + 4 + 1: 6])
  }

  @Test("the bytes of int4 are those of the C header")
  func int4Bytes() throws {
    let first = try codeBytes(.int4, 16, 32, line(0, [0, 1, 2, 3, 4, 5, 6, 7]))
    expect(first, count: 256, nonzero: [0: 0x40, 1: 0x51, 2: 0x62, 3: 0x73])
    let last = try codeBytes(.int4, 32, 32, [(31, 31, 9)])
    expect(last, count: 512, nonzero: [256 + 3 * 64 + 63: 0x90])
  }

  @Test("the bytes of int8 are those of the C header")
  func int8Bytes() throws {
    let first = try codeBytes(.int8, 16, 32, line(0, [1, 2, 3, 4]) + line(1, [5, 6, 7, 8]))
    #expect(first.count == 512)
    #expect(Array(first[0..<8]) == [1, 2, 3, 4, 5, 6, 7, 8])
    let last = try codeBytes(.int8, 32, 32, [(31, 31, 200)])
    expect(last, count: 1024, nonzero: [512 + 7 * 64 + 63: 200])
  }

  @Test("the bytes of E8P are those of the C header")
  func e8pBytes() throws {
    let layout = PackedLayout(.e8p, groupSize: .row, outputSize: 32, inputSize: 64)
    var codes = [UInt16](repeating: 0, count: 32 * 8)
    codes[0] = 0x8001
    codes[31 * 8 + 7] = 0xA5C3
    let scales = [Float](repeating: 1, count: 32)
    let matrix = try PackedMatrix(packing: codes.span, layout: layout, scales: scales.span)
    // Panel 1 begins at 256, its second block 128 later; columns 56 ... 63 are code 3 of row 15.
    expect(
      matrix.codeArray, count: 512, nonzero: [0: 0x01, 64: 0x80, 447: 0xC3, 511: 0xA5])
    // Values of the header: index 0x01, sign 0x80 is 1.75 and -0.25 with the shift -1/4 for 1/4.
    #expect(Array(matrix.dense()[0..<8]) == [1.25] + [Float](repeating: -0.75, count: 7))
  }

  // MARK: - Identity

  @Test(
    "every code at every position comes back", arguments: [WeightFormat.int2, .int3, .int4, .int8])
  func everyCodeAtEveryPositionComesBack(format: WeightFormat) throws {
    // Panel p holds code p + j * 37 at position j: over all panels each position sees each code.
    let codeCount = Int(format.largestCode) + 1
    let rows = 16 * codeCount
    let codes = (0..<rows * 32).map { index in
      UInt8((index / 512 + index % 512 * 37) % codeCount)
    }
    let layout = PackedLayout(format, groupSize: .row, outputSize: rows, inputSize: 32)
    let scales = [Float](repeating: 1, count: rows)
    let matrix = try PackedMatrix(packing: codes.span, layout: layout, scales: scales.span)
    #expect(firstDifference(matrix.unpackedCodes(), codes) == nil)
  }

  @Test("every code of E8P at every position comes back")
  func everyLatticeCodeAtEveryPositionComesBack() throws {
    let rows = 16 * 65536
    let codes = (0..<rows * 4).map { UInt16(truncatingIfNeeded: $0 / 64 + $0 % 64 * 1021) }
    let layout = PackedLayout(.e8p, groupSize: .row, outputSize: rows, inputSize: 32)
    let scales = [Float](repeating: 1, count: rows)
    let matrix = try PackedMatrix(packing: codes.span, layout: layout, scales: scales.span)
    #expect(firstDifference(matrix.unpackedLatticeCodes(), codes) == nil)
  }
}

/// The first index at which two arrays differ, or nil.
///
/// What `#expect` prints about unequal arrays of a million numbers helps nobody and takes minutes.
func firstDifference<Element: Equatable>(_ left: [Element], _ right: [Element]) -> Int? {
  guard left.count == right.count else { return min(left.count, right.count) }
  return left.indices.first { left[$0] != right[$0] }
}

extension PackedMatrix {
  /// A copy of the bytes of the codes.
  var codeArray: [UInt8] {
    let bytes = codeBytes
    return (0..<bytes.byteCount).map { unsafe bytes.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
  }
}
