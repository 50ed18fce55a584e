internal import Kernels

extension PackedMatrix {
  /// The rows that are best unpacked together: a tile of a trellis code, or a panel.
  package var rowsTogether: Int { format.tileRows }

  /// Writes the values of neighbouring rows, the same as `dequantize(row:into:)` does for each.
  ///
  /// Rows that are a whole tile of a trellis code take a tenth of the time.
  ///
  /// - Parameters:
  ///   - rows: Some of the rows.
  ///   - numbers: (rows, inputSize), overwritten.
  /// - Complexity: O(rows * inputSize); no allocation but for rows that are no whole tile.
  @unsafe
  package func dequantize(rows: Range<Int>, into numbers: UnsafeMutablePointer<Float>) {
    precondition(
      rows.lowerBound >= 0 && rows.upperBound <= outputSize, "rows \(rows) of \(outputSize)")
    let isTile =
      rows.lowerBound % TrellisCode.tileRows == 0
      && (rows.count == TrellisCode.tileRows || rows.upperBound == outputSize)
      && rows.count <= TrellisCode.tileRows
    if format.coding == .trellis, isTile {
      unsafe dequantizeTile(rows, numbers)
      return
    }
    for row in rows {
      var span = unsafe MutableSpan(
        _unsafeStart: numbers + (row - rows.lowerBound) * inputSize, count: inputSize)
      dequantize(row: row, into: &span)
    }
  }

  /// Writes the values of a tile of a trellis code.
  ///
  /// The bits of a pair are added at the low end of a history, in which a window of twelve bits is the index of its
  /// integer. Eight columns go together: a byte of codes is spread over the bytes of a word.
  private func dequantizeTile(_ rows: Range<Int>, _ numbers: UnsafeMutablePointer<Float>) {
    let code = kernels_trellis_code(format.kernelsFormat)
    let (planes, evenBits) = (Int(code.planes), Int(code.even_bits))
    let windows = TrellisWindows.of(format)
    let mask = UInt32(windows.even.count - 1)
    let n = inputSize
    var units = InlineArray<64, Float>(repeating: 0)
    for row in rows {
      units[row - rows.lowerBound] = Float(scale(row: row, group: 0)) * format.unit
    }
    let start = layout.trellisStart(ofRow: rows.lowerBound)
    let bytes = codeBytes
    let pairCount = TrellisCode.pairCount
    for first in stride(from: 0, to: n, by: 8) {
      let width = min(8, n - first)
      var symbols = InlineArray<32, UInt64>(repeating: 0)
      for plane in 0..<planes {
        // The oldest bit of a pair is the highest of its symbol.
        let shift = UInt64(planes - 1 - plane)
        for pair in 0..<pairCount {
          let place = start + layout.trellisByte(column: first, plane: plane, pair: pair)
          let byte = unsafe bytes.unsafeLoad(fromByteOffset: place, as: UInt8.self)
          symbols[pair] |= Self.spread[Int(byte)] << shift
        }
      }
      for column in 0..<width {
        let lane = UInt64(8 * column)
        var history: UInt32 = 0
        func symbol(_ pair: Int) -> UInt32 {
          UInt32(truncatingIfNeeded: symbols[pair] >> lane) & 0xFF
        }
        // A window has twelve bits, and a pair four or more.
        for pair in pairCount - 3..<pairCount { history = history << UInt32(planes) | symbol(pair) }
        for pair in 0..<(rows.count + 1) / 2 {
          history = history << UInt32(planes) | symbol(pair)
          let even = windows.even[Int(history >> UInt32(planes - evenBits) & mask)]
          unsafe numbers[2 * pair * n + first + column] = Float(even) * units[2 * pair]
          guard 2 * pair + 1 < rows.count else { continue }
          let odd = windows.odd[Int(history & mask)]
          unsafe numbers[(2 * pair + 1) * n + first + column] = Float(odd) * units[2 * pair + 1]
        }
      }
    }
  }

  /// Each byte with its bits in the lowest bits of eight bytes.
  private static let spread: [UInt64] = (0..<256).map { byte in
    (0..<8).reduce(0) { $0 | UInt64(byte >> $1 & 1) << UInt64(8 * $1) }
  }
}

/// The integers of all windows of a trellis code; bit k of an index is the bit of age k.
private struct TrellisWindows: Sendable {
  let even: [Int8]
  let odd: [Int8]

  private init(_ format: WeightFormat) {
    func integers(_ parity: Int32) -> [Int8] {
      (0..<1 << Int(KERNELS_TRELLIS_WINDOW)).map { window in
        (0..<Int(KERNELS_TRELLIS_WINDOW)).reduce(Int8(0)) { sum, age in
          let tap = Int8(kernels_trellis_tap(format.kernelsFormat, parity, Int32(age)))
          return window >> age & 1 == 1 ? sum + tap : sum - tap
        }
      }
    }
    even = integers(0)
    odd = integers(1)
  }

  private static let all: [WeightFormat: TrellisWindows] = Dictionary(
    uniqueKeysWithValues: WeightFormat.allCases.filter { $0.coding == .trellis }.map {
      ($0, TrellisWindows($0))
    })

  /// Those of a format.
  static func of(_ format: WeightFormat) -> TrellisWindows {
    guard let windows = all[format] else {
      preconditionFailure("\(format.rawValue) is no trellis code")
    }
    return windows
  }
}
