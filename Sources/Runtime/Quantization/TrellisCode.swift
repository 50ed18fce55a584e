internal import Kernels

/// A trellis code: weights of a column that share bits with the weights above them.
///
/// A tile is 64 rows of a column, in pairs of an even and an odd row. Each pair has `planeCount` bits, and
/// the bits of a tile go around: those of the last pair come before those of the first. The value of a row
/// is scale * unit * q, where
///
///     q = sum over taps of factor * (bit ? 1 : -1)
///
/// and each tap names a bit of the row's own pair or of a pair before it.
///
/// Source and numbers: Trellis.h of the kernels.
package struct TrellisCode: Sendable {
  /// One bit that a row reads.
  package struct Tap: Sendable, Hashable {
    /// What the bit is multiplied by.
    package let factor: Int
    /// The number of the bit in its pair.
    package let plane: Int
    /// How many pairs before the row's own pair the bit lies, going around.
    package let pairsBack: Int
  }

  /// The number of rows of a tile.
  package static let tileRows = Int(KERNELS_TRELLIS_ROWS)
  /// The number of pairs of rows of a tile.
  package static let pairCount = Int(KERNELS_TRELLIS_PAIRS)
  /// The number of columns whose codes lie together, plane by plane.
  package static let groupColumns = Int(KERNELS_ACTIVATION_GROUP)

  /// The number of bits of a pair of rows.
  package let planeCount: Int
  /// The bits that even rows read, and those that odd rows read.
  package let taps: [[Tap]]
  /// The scale for Gaussian numbers of variance 1 at which their error is least.
  package let deviation: Float

  /// The code of a format.
  ///
  /// - Precondition: The format is a trellis code.
  package init(_ format: WeightFormat) {
    precondition(format.coding == .trellis, "\(format.rawValue) is no trellis code")
    let code = kernels_trellis_code(format.kernelsFormat)
    let planeCount = Int(code.planes)
    self.planeCount = planeCount
    deviation = code.deviation
    taps = [Int(code.even_bits) - 1, planeCount - 1].enumerated().map { parity, last in
      (0..<Int(KERNELS_TRELLIS_WINDOW)).map { age in
        let place = last - age
        // The quotient is rounded towards minus infinity.
        let pairsBack = place >= 0 ? 0 : (planeCount - 1 - place) / planeCount
        return Tap(
          factor: Int(kernels_trellis_tap(format.kernelsFormat, Int32(parity), Int32(age))),
          plane: place + pairsBack * planeCount, pairsBack: pairsBack)
      }
    }
  }

  /// The number of bits of a tile of one column.
  package var bitCount: Int { planeCount * Self.pairCount }

  /// The integer of a row of a tile, from the bits of a column in their order.
  package func integer(row: Int, bits: Span<UInt8>) -> Int {
    taps[row % 2].reduce(0) { sum, tap in
      let pair = (row / 2 - tap.pairsBack + Self.pairCount) % Self.pairCount
      return sum + (bits[pair * planeCount + tap.plane] == 0 ? -tap.factor : tap.factor)
    }
  }
}

extension PackedLayout {
  /// The place of a bit of a trellis code.
  ///
  /// - Parameters:
  ///   - column: A column, padded ones included.
  ///   - plane: The number of the bit in its pair.
  ///   - pair: The pair of rows, 0 to 31.
  /// - Returns: The bit's byte, counted from the first one of the tile's codes. In the byte it is the bit
  ///   with the number of the column among eight.
  func trellisByte(column: Int, plane: Int, pair: Int) -> Int {
    let (group, within) = column.quotientAndRemainder(dividingBy: TrellisCode.groupColumns)
    let first = group * TrellisCode.groupColumns
    let columns = min(TrellisCode.groupColumns, paddedInputSize - first)
    let panels = TrellisCode.tileRows / Self.panelRows
    return first * format.panelColumnByteCount * panels + plane * columns * panels
      + within / 8 * TrellisCode.pairCount + pair % 16 * 2 + pair / 16
  }

  /// Where the codes of the tile with `row` begin.
  func trellisStart(ofRow row: Int) -> Int {
    row / TrellisCode.tileRows * (TrellisCode.tileRows / Self.panelRows) * panelByteCount
  }
}

extension PackedMatrix {
  /// Packs the bits of a trellis code.
  ///
  /// Padded columns get bits of 0 and padded rows scales of 0. Scales are rounded to F16, ties to even.
  ///
  /// - Parameters:
  ///   - bits: (tiles, inputSize, bits of a tile), each 0 or 1: those of a tile's column pair by pair.
  ///   - layout: The sizes, and a trellis code as format.
  ///   - scales: (outputSize), one for each row.
  /// - Throws: `PackedMatrixError` when a scale is not finite as F16, or there is no memory.
  /// - Precondition: The counts are those of `layout`.
  /// - Complexity: O(outputSize * inputSize).
  package init(
    packingTrellis bits: Span<UInt8>, layout: PackedLayout, scales: Span<Float>
  ) throws(PackedMatrixError) {
    let code = TrellisCode(layout.format)
    let tileCount = layout.panelCount * PackedLayout.panelRows / TrellisCode.tileRows
    let count = tileCount * layout.inputSize * code.bitCount
    precondition(bits.count == count, "\(bits.count) bits, not \(count)")
    try self.init(layout: layout, scales: scales, offsets: nil) { memory in
      for tile in 0..<tileCount {
        let start = layout.trellisStart(ofRow: tile * TrellisCode.tileRows)
        for block in stride(from: 0, to: layout.inputSize, by: 8) {
          let columns = block..<min(block + 8, layout.inputSize)
          for index in 0..<code.bitCount {
            let (pair, plane) = index.quotientAndRemainder(dividingBy: code.planeCount)
            var byte: UInt8 = 0
            for column in columns {
              let bit = bits[(tile * layout.inputSize + column) * code.bitCount + index]
              byte |= bit << UInt8(column - block)
            }
            let place = layout.trellisByte(column: block, plane: plane, pair: pair)
            memory.storeBytes(of: byte, toByteOffset: start + place, as: UInt8.self)
          }
        }
      }
    }
  }

  /// The bits of a matrix in a trellis code, as `init(packingTrellis:layout:scales:)` takes them.
  ///
  /// - Precondition: The format is a trellis code.
  /// - Complexity: O(outputSize * inputSize).
  package func unpackedTrellisBits() -> [UInt8] {
    let code = TrellisCode(format)
    let tileCount = layout.panelCount * PackedLayout.panelRows / TrellisCode.tileRows
    let bytes = codeBytes
    var result: [UInt8] = []
    result.reserveCapacity(tileCount * inputSize * code.bitCount)
    for tile in 0..<tileCount {
      let start = layout.trellisStart(ofRow: tile * TrellisCode.tileRows)
      for column in 0..<inputSize {
        for index in 0..<code.bitCount {
          let (pair, plane) = index.quotientAndRemainder(dividingBy: code.planeCount)
          let place = start + layout.trellisByte(column: column, plane: plane, pair: pair)
          let byte = unsafe bytes.unsafeLoad(fromByteOffset: place, as: UInt8.self)
          result.append(byte >> UInt8(column % 8) & 1)
        }
      }
    }
    return result
  }

  /// Writes the values of a row of a trellis code.
  ///
  /// They are exact: a scale has 11 significant bits, and an integer at most 5.
  func dequantizeTrellis(_ row: Int, _ numbers: inout MutableSpan<Float>) {
    let code = TrellisCode(format)
    let taps = code.taps[row % 2]
    let unit = Float(scale(row: row, group: 0)) * format.unit
    let start = layout.trellisStart(ofRow: row)
    let pair = row % TrellisCode.tileRows / 2
    let bytes = codeBytes
    for first in stride(from: 0, to: inputSize, by: TrellisCode.groupColumns) {
      // The bytes of a tap follow each other in steps of 32 within a group of columns.
      var sums = InlineArray<16, SIMD8<Int16>>(repeating: .zero)
      let count = min(TrellisCode.groupColumns, layout.paddedInputSize - first) / 8
      for tap in taps where tap.factor != 0 {
        let source = (pair - tap.pairsBack + TrellisCode.pairCount) % TrellisCode.pairCount
        let place = start + layout.trellisByte(column: first, plane: tap.plane, pair: source)
        let factor = Int16(tap.factor)
        for block in 0..<count {
          let byte = unsafe bytes.unsafeLoad(
            fromByteOffset: place + TrellisCode.pairCount * block, as: UInt8.self)
          let isSet = SIMD8<Int16>(repeating: Int16(byte)) & Self.bitOfColumn .!= 0
          sums[block] &+= SIMD8(repeating: -factor).replacing(with: factor, where: isSet)
        }
      }
      for block in 0..<count {
        let values = SIMD8<Float>(sums[block]) * unit
        let column = first + 8 * block
        for i in 0..<min(8, max(0, inputSize - column)) { numbers[column + i] = values[i] }
      }
    }
  }

  private static let bitOfColumn = SIMD8<Int16>(1, 2, 4, 8, 16, 32, 64, 128)
}
