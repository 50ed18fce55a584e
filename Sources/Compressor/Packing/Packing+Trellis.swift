internal import DuetRuntime
internal import DuetSystem
internal import Kernels

extension Packing {
  /// The bits of a matrix in a trellis code, (tiles, inputSize, bits of a tile).
  ///
  /// Values are kept, not bits, so the bits are found again.
  func trellisBits(_ matrix: borrowing QuantizedMatrix) -> Buffer<UInt8> {
    let layout = matrix.layout
    let code = TrellisCode(layout.format)
    let tileRows = TrellisCode.tileRows
    let tileCount = layout.panelCount * PackedLayout.panelRows / tileRows
    let result = Buffer<UInt8>(count: tileCount * layout.inputSize * code.bitCount)
    let (values, scales) = unsafe (matrix.values.pointer, matrix.scales.pointer)
    let bits = unsafe result.pointer
    pool.run(tileCount) { tile, _ in
      let first = tile * tileRows
      let rows = min(tileRows, layout.outputSize - first)
      for column in 0..<layout.inputSize {
        // 127 stands for a row that may have any value.
        var integers = InlineArray<64, Int8>(repeating: 127)
        for row in 0..<rows {
          let scale = unsafe scales[first + row] * layout.format.unit
          if scale == 0 { continue }
          // Exact: the scale has 11 bits and the integer 5.
          let value = unsafe values[(first + row) * layout.inputSize + column] / scale
          precondition(
            value == value.rounded() && abs(value) <= Float(KERNELS_TRELLIS_LARGEST),
            "\(name): no value of the scale \(scale) in row \(first + row)")
          integers[row] = Int8(value)
        }
        let place = unsafe bits + (tile * layout.inputSize + column) * code.bitCount
        let isFound = unsafe integers.span.withUnsafeBufferPointer { integers in
          guard let integers = integers.baseAddress else { return false }
          return unsafe kernels_trellis_path(layout.format.kernelsFormat, integers, place) == 1
        }
        precondition(
          isFound, "\(name): column \(column) of tile \(tile) is no word of the code")
      }
    }
    return result
  }
}
