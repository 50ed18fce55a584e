extension PackedMatrix {
  /// Whether every row has the code 0 in `column`, as padding has.
  ///
  /// - Precondition: It is an integer format, and the column is below `layout.paddedInputSize`.
  /// - Complexity: O(outputSize).
  func hasOnlyZeroCodes(inColumn column: Int) -> Bool {
    precondition(
      format.coding == .integers && column < layout.paddedInputSize,
      "column \(column) of \(inputSize)")
    return (0..<outputSize).allSatisfy { row in
      layout.word(codeBytes, row: row, index: column / 4).code(column % 4) == 0
    }
  }

  /// The codes of an integer format, (outputSize, inputSize), row major: the inverse of packing.
  ///
  /// - Precondition: It is an integer format.
  /// - Complexity: O(outputSize * inputSize).
  package func unpackedCodes() -> [UInt8] {
    precondition(format.coding == .integers, "weights of \(format.rawValue) have no codes")
    var result = [UInt8](repeating: 0, count: outputSize * inputSize)
    for row in 0..<outputSize {
      for column in 0..<inputSize {
        let word = layout.word(codeBytes, row: row, index: column / 4)
        result[row * inputSize + column] = word.code(column % 4)
      }
    }
    return result
  }

  /// The codes of an e8p matrix, (outputSize, codesPerRow), row major, index | signs << 8.
  ///
  /// - Precondition: The format is e8p.
  /// - Complexity: O(outputSize * inputSize).
  package func unpackedLatticeCodes() -> [UInt16] {
    precondition(format == .e8p, "\(format.rawValue) has no codes of sixteen bits")
    var codes: [UInt16] = []
    codes.reserveCapacity(outputSize * layout.codesPerRow)
    for row in 0..<outputSize {
      for k in 0..<layout.codesPerRow { codes.append(latticeCode(row: row, index: k)) }
    }
    return codes
  }

  private func latticeCode(row: Int, index k: Int) -> UInt16 {
    let place = layout.latticeStart(ofRow: row) + k / 4 * 128 + k % 4
    let bytes = codeBytes
    let index = unsafe bytes.unsafeLoad(fromByteOffset: place, as: UInt8.self)
    let signs = unsafe bytes.unsafeLoad(fromByteOffset: place + 64, as: UInt8.self)
    return UInt16(index) | UInt16(signs) << 8
  }

  /// The values of the matrix as Float, (outputSize, inputSize), row major.
  ///
  /// All are exact, because a scale has 11 significant bits and its factor at most 8; with offsets, the
  /// sum is rounded once.
  ///
  /// - Complexity: O(outputSize * inputSize).
  package func dense() -> [Float] {
    var result = [Float](repeating: 0, count: outputSize * inputSize)
    unsafe result.withUnsafeMutableBufferPointer { numbers in
      guard let base = numbers.baseAddress else { return }
      for row in 0..<outputSize {
        var target = unsafe MutableSpan(_unsafeStart: base + row * inputSize, count: inputSize)
        dequantize(row: row, into: &target)
      }
    }
    return result
  }

  /// Writes the values of a row, as exact as those of `dense`.
  ///
  /// - Parameters:
  ///   - row: A row, less than `outputSize`.
  ///   - numbers: (inputSize), overwritten.
  /// - Complexity: O(inputSize); no allocation.
  package func dequantize(row: Int, into numbers: inout MutableSpan<Float>) {
    precondition(
      row < outputSize && numbers.count == inputSize,
      "row \(row) of \(outputSize) into \(numbers.count) numbers, not \(inputSize)")
    switch format.coding {
    case .integers: dequantizeIntegers(row, &numbers)
    case .lattice: dequantizeLattice(row, &numbers)
    case .trellis: dequantizeTrellis(row, &numbers)
    }
  }

  private func dequantizeIntegers(_ row: Int, _ numbers: inout MutableSpan<Float>) {
    let groupColumns = groupSize.columnCount ?? layout.paddedInputSize
    for group in 0..<layout.groupCount {
      let scale = Float(scale(row: row, group: group))
      let offset = offset(row: row, group: group).map(Float.init)
      // The product is exact, so the sum is rounded alike with and without a fused multiply-add.
      let zero = offset == nil ? format.zeroPoint : 0
      let start = group * groupColumns
      let end = min(start + groupColumns, inputSize)
      // Groups are whole words.
      for first in stride(from: start, to: end, by: 4) {
        let word = layout.word(codeBytes, row: row, index: first / 4)
        for column in first..<min(first + 4, end) {
          numbers[column] = scale * (Float(word.code(column - first)) - zero) + (offset ?? 0)
        }
      }
    }
  }

  private func dequantizeLattice(_ row: Int, _ numbers: inout MutableSpan<Float>) {
    let codebook = LatticeCodebook.e8p
    let groupCodes = (groupSize.columnCount ?? layout.paddedInputSize) / 8
    for k in 0..<layout.codesPerRow {
      let unit = Float(scale(row: row, group: k / groupCodes)) * format.unit
      let values = SIMD8<Float>(codebook.point(of: latticeCode(row: row, index: k))) * unit
      for i in 0..<min(8, inputSize - 8 * k) { numbers[8 * k + i] = values[i] }
    }
  }
}

/// Four codes, a byte each, the first in the lowest.
private struct CodeWord {
  let bits: UInt32

  /// The code at `index`, 0 to 3.
  func code(_ index: Int) -> UInt8 { UInt8(truncatingIfNeeded: bits >> UInt32(8 * index)) }
}

extension PackedLayout {
  /// The codes of four columns of `row`, from column 4 * `index` on; some of them may be padding.
  fileprivate func word(_ codes: RawSpan, row: Int, index: Int) -> CodeWord {
    let (block, word) = index.quotientAndRemainder(dividingBy: format.blockColumns / 4)
    let (panel, r) = row.quotientAndRemainder(dividingBy: Self.panelRows)
    let place = panel * panelByteCount + block * format.blockByteCount + 4 * r
    func load(_ vector: Int = 0) -> UInt32 {
      unsafe codes.unsafeLoadUnaligned(fromByteOffset: place + 64 * vector, as: UInt32.self)
    }
    let shift = UInt32(word)
    switch format {
    case .int2: return CodeWord(bits: load() >> (2 * shift) & 0x0303_0303)
    case .int3:
      switch word {
      case 6: return CodeWord(bits: load() >> 5 & 0x0606_0606 | load(2) >> 6 & 0x0101_0101)
      case 7: return CodeWord(bits: load(1) >> 5 & 0x0606_0606 | load(2) >> 7 & 0x0101_0101)
      default: return CodeWord(bits: load(word / 2) >> (3 * (shift % 2)) & 0x0707_0707)
      }
    case .int4: return CodeWord(bits: load() >> (4 * shift) & 0x0F0F_0F0F)
    case .int8: return CodeWord(bits: load())
    case .e8p, .trellis2, .trellis2_5, .trellis3:
      preconditionFailure("the codes of \(format.rawValue) do not lie in words")
    }
  }
}
