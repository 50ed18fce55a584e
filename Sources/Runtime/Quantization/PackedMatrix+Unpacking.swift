extension PackedMatrix {
  /// The codes of an integer format, (outputSize, inputSize), row major: the inverse of packing.
  ///
  /// - Precondition: The format is not e8p.
  /// - Complexity: O(outputSize * inputSize).
  public func unpackedCodes() -> [UInt8] {
    precondition(format != .e8p, "the codes of e8p have sixteen bits")
    var result = [UInt8](repeating: 0, count: outputSize * inputSize)
    var codes = result.mutableSpan
    var bytes = unsafe codes.mutableBytes
    var words = Buffer<UInt32>(count: PackedLayout.panelRows * layout.wordsPerRow)
    for panel in 0..<layout.panelCount {
      layout.unpack(codeBytes, panel: panel, into: &words)
      let words = words.span
      let rows = min(PackedLayout.panelRows, outputSize - panel * PackedLayout.panelRows)
      for r in 0..<rows {
        let first = (panel * PackedLayout.panelRows + r) * inputSize
        for index in 0..<inputSize / 4 {
          bytes.storeBytes(
            of: words[r * layout.wordsPerRow + index], toByteOffset: first + 4 * index,
            as: UInt32.self)
        }
        for column in inputSize / 4 * 4..<inputSize {
          bytes.storeBytes(
            of: layout.code(words, r, column), toByteOffset: first + column, as: UInt8.self)
        }
      }
    }
    return result
  }

  /// The codes of an e8p matrix, (outputSize, codesPerRow), row major, index | signs << 8.
  ///
  /// - Precondition: The format is e8p.
  /// - Complexity: O(outputSize * inputSize).
  public func unpackedLatticeCodes() -> [UInt16] {
    precondition(format == .e8p, "the codes of \(format.rawValue) have eight bits")
    let bytes = codeBytes
    var codes = [UInt16](repeating: 0, count: outputSize * layout.codesPerRow)
    for row in 0..<outputSize {
      let start = layout.latticeStart(ofRow: row)
      for k in 0..<layout.codesPerRow {
        let place = start + k / 4 * 128 + k % 4
        let index = unsafe bytes.unsafeLoad(fromByteOffset: place, as: UInt8.self)
        let signs = unsafe bytes.unsafeLoad(fromByteOffset: place + 64, as: UInt8.self)
        codes[row * layout.codesPerRow + k] = UInt16(index) | UInt16(signs) << 8
      }
    }
    return codes
  }

  /// The numbers that the matrix stands for, (outputSize, inputSize), row major.
  ///
  /// All are exact, for a scale has 11 significant bits and its factor at most 8; with offsets the sum
  /// is rounded once.
  ///
  /// - Complexity: O(outputSize * inputSize).
  public func dense() -> [Float] {
    format == .e8p ? denseLattice() : denseIntegers()
  }

  private func denseIntegers() -> [Float] {
    let groupColumns = groupSize.columnCount ?? layout.paddedInputSize
    var result = [Float](repeating: 0, count: outputSize * inputSize)
    var words = Buffer<UInt32>(count: PackedLayout.panelRows * layout.wordsPerRow)
    for panel in 0..<layout.panelCount {
      layout.unpack(codeBytes, panel: panel, into: &words)
      let words = words.span
      let first = panel * PackedLayout.panelRows
      for row in first..<min(first + PackedLayout.panelRows, outputSize) {
        for group in 0..<layout.groupCount {
          let scale = Float(scale(row: row, group: group))
          let offset = offset(row: row, group: group).map(Float.init)
          // The product is exact, so the sum rounds alike with or without fusion.
          let zero = offset == nil ? format.zeroPoint : 0
          let start = group * groupColumns
          for column in start..<min(start + groupColumns, inputSize) {
            let code = layout.code(words, row - first, column)
            result[row * inputSize + column] = scale * (Float(code) - zero) + (offset ?? 0)
          }
        }
      }
    }
    return result
  }

  private func denseLattice() -> [Float] {
    let codebook = LatticeCodebook.e8p
    let codes = unpackedLatticeCodes()
    let groupCodes = (groupSize.columnCount ?? layout.paddedInputSize) / 8
    var result = [Float](repeating: 0, count: outputSize * inputSize)
    for row in 0..<outputSize {
      for k in 0..<layout.codesPerRow {
        let unit = Float(scale(row: row, group: k / groupCodes)) * format.unit
        let point = codebook.point(of: codes[row * layout.codesPerRow + k])
        let values = SIMD8<Float>(point) * unit
        let first = row * inputSize + 8 * k
        for i in 0..<min(8, inputSize - 8 * k) { result[first + i] = values[i] }
      }
    }
    return result
  }
}

extension PackedLayout {
  /// The code of a row of a panel's words at a column.
  fileprivate func code(_ words: Span<UInt32>, _ row: Int, _ column: Int) -> UInt8 {
    UInt8(truncatingIfNeeded: words[row * wordsPerRow + column / 4] >> UInt32(column % 4 * 8))
  }

  /// Unpacks a panel to (16, wordsPerRow) words of four codes, one byte each.
  fileprivate func unpack(_ codes: RawSpan, panel: Int, into words: inout Buffer<UInt32>) {
    var words = words.mutableSpan
    let blockWords = format.blockColumns / 4
    for block in 0..<wordsPerRow / blockWords {
      for r in 0..<Self.panelRows {
        let w = r * wordsPerRow + block * blockWords
        let place = panel * panelByteCount + block * format.blockByteCount + 4 * r
        func load(_ vector: Int = 0) -> UInt32 {
          unsafe codes.unsafeLoadUnaligned(
            fromByteOffset: place + 64 * vector, as: UInt32.self)
        }
        switch format {
        case .int2:
          let bits = load()
          for s in 0..<4 { words[w + s] = bits >> UInt32(2 * s) & 0x0303_0303 }
        case .int3:
          let (a, b, c) = (load(), load(1), load(2))
          for (v, bits) in [a, b, c].enumerated() {
            words[w + 2 * v] = bits & 0x0707_0707
            words[w + 2 * v + 1] = bits >> 3 & 0x0707_0707
          }
          words[w + 6] = a >> 5 & 0x0606_0606 | c >> 6 & 0x0101_0101
          words[w + 7] = b >> 5 & 0x0606_0606 | c >> 7 & 0x0101_0101
        case .int4:
          let bits = load()
          words[w] = bits & 0x0F0F_0F0F
          words[w + 1] = bits >> 4 & 0x0F0F_0F0F
        case .int8: words[w] = load()
        case .e8p: preconditionFailure("the codes of e8p do not lie in words")
        }
      }
    }
  }
}
