internal import DuetSystem

extension PackedMatrix {
  /// Packs the codes of an integer format.
  ///
  /// Padding gets the code 0 and the scale 0. Scales and offsets are rounded to F16, ties to even.
  ///
  /// - Parameters:
  ///   - codes: (outputSize, inputSize), row major, each at most `largestCode` of the format.
  ///   - layout: The sizes, and an integer format.
  ///   - scales: (outputSize, groups), row major.
  ///   - offsets: (outputSize, groups), row major, or nil.
  /// - Throws: `PackedMatrixError` when a scale or offset is not finite as F16, or there is no memory.
  /// - Precondition: The counts are those of `layout` and no code is too large.
  /// - Complexity: O(outputSize * inputSize).
  package init(
    packing codes: Span<UInt8>, layout: PackedLayout, scales: Span<Float>,
    offsets: Span<Float>? = nil
  ) throws(PackedMatrixError) {
    precondition(
      layout.format.coding == .integers, "weights of \(layout.format.rawValue) have no codes")
    let count = layout.outputSize * layout.inputSize
    precondition(codes.count == count, "\(codes.count) codes, not \(count)")
    try self.init(layout: layout, scales: scales, offsets: offsets) { memory in
      var words = Buffer<UInt32>(count: PackedLayout.panelRows * layout.wordsPerRow)
      for panel in 0..<layout.panelCount {
        unsafe layout.gather(codes.bytes, panel: panel, into: &words)
        layout.pack(words, to: panel * layout.panelByteCount, of: &memory)
      }
    }
  }

  /// Packs the codes of e8p: (outputSize, inputSize / 8) rounded up, row major, index | signs << 8.
  ///
  /// Coordinates of a row's last code that lie beyond inputSize have no effect. Padding gets the code 0
  /// and the scale 0. Scales are rounded to F16, ties to even.
  ///
  /// - Parameters:
  ///   - codes: (outputSize, codesPerRow).
  ///   - layout: The sizes, and the format e8p.
  ///   - scales: (outputSize, groups), row major.
  /// - Throws: `PackedMatrixError` when a scale is not finite as F16, or there is no memory.
  /// - Precondition: The counts are those of `layout`.
  /// - Complexity: O(outputSize * inputSize).
  package init(
    packing codes: Span<UInt16>, layout: PackedLayout, scales: Span<Float>
  ) throws(PackedMatrixError) {
    precondition(layout.format == .e8p, "\(layout.format.rawValue) has no codes of sixteen bits")
    let count = layout.outputSize * layout.codesPerRow
    precondition(codes.count == count, "\(codes.count) codes, not \(count)")
    try self.init(layout: layout, scales: scales, offsets: nil) { memory in
      for row in 0..<layout.outputSize {
        let start = layout.latticeStart(ofRow: row)
        for k in 0..<layout.codesPerRow {
          let code = codes[row * layout.codesPerRow + k]
          let place = start + k / 4 * 128 + k % 4
          memory.storeBytes(
            of: UInt8(truncatingIfNeeded: code), toByteOffset: place, as: UInt8.self)
          memory.storeBytes(of: UInt8(code >> 8), toByteOffset: place + 64, as: UInt8.self)
        }
      }
    }
  }

  /// A matrix with these scales and offsets, (outputSize, groups), and the codes that `fill` stores.
  init(
    layout: PackedLayout, scales: Span<Float>, offsets: Span<Float>?,
    fill: (inout MutableRawSpan) -> Void
  ) throws(PackedMatrixError) {
    let count = layout.outputSize * layout.groupCount
    precondition(scales.count == count, "\(scales.count) scales, not \(count)")
    precondition(
      offsets?.count ?? count == count, "\(offsets?.count ?? 0) offsets, not \(count)")
    try self.init(layout: layout, hasOffsets: offsets != nil) { memory in
      fill(&memory)
      layout.store(scales, at: layout.scalesStart, of: &memory)
      if let offsets { layout.store(offsets, at: layout.offsetsStart, of: &memory) }
    }
  }
}

extension PackedLayout {
  /// The number of words of a row: a word is four codes of one byte each, which a block keeps together.
  var wordsPerRow: Int { paddedInputSize / 4 }

  /// Where the index byte of the first e8p code of `row` lies.
  func latticeStart(ofRow row: Int) -> Int {
    row / Self.panelRows * panelByteCount + row % Self.panelRows * 4
  }

  /// Stores the numbers (outputSize, groups) as F16 (panels, groups, 16).
  fileprivate func store(_ numbers: Span<Float>, at start: Int, of memory: inout MutableRawSpan) {
    for row in 0..<outputSize {
      for group in 0..<groupCount {
        memory.storeBytes(
          of: Float16(numbers[row * groupCount + group]).bitPattern,
          toByteOffset: start + 2 * scaleIndex(row: row, group: group), as: UInt16.self)
      }
    }
  }

  /// Copies the codes of a panel, one byte each, to (16, wordsPerRow) words, padded with zeros.
  fileprivate func gather(_ codes: RawSpan, panel: Int, into words: inout Buffer<UInt32>) {
    var words = words.mutableSpan
    let rest = inputSize % 4
    for r in 0..<Self.panelRows {
      let row = panel * Self.panelRows + r
      let start = r * wordsPerRow
      guard row < outputSize else {
        for index in 0..<wordsPerRow { words[start + index] = 0 }
        continue
      }
      // The words after a row's last code are zero from the start and stay so.
      let first = row * inputSize
      for index in 0..<inputSize / 4 {
        words[start + index] = unsafe codes.unsafeLoadUnaligned(
          fromByteOffset: first + 4 * index, as: UInt32.self)
      }
      if rest > 0 {
        var word: UInt32 = 0
        for i in 0..<rest {
          let code = unsafe codes.unsafeLoad(
            fromByteOffset: first + inputSize - rest + i, as: UInt8.self)
          word |= UInt32(code) << UInt32(8 * i)
        }
        words[start + inputSize / 4] = word
      }
    }
    var union: UInt32 = 0
    for index in words.indices { union |= words[index] }
    let allowed = UInt32(format.largestCode) * 0x0101_0101
    precondition(
      union & ~allowed == 0,
      "a code above \(format.largestCode) in rows \(panel * 16) ..< \(panel * 16 + 16)")
  }

  /// Packs the words of a panel, (16, wordsPerRow), to the bytes at `start`.
  ///
  /// Shifting a word shifts its four codes at once: they are too small to reach the next byte.
  fileprivate func pack(
    _ words: borrowing Buffer<UInt32>, to start: Int, of memory: inout MutableRawSpan
  ) {
    let words = words.span
    let blockWords = format.blockColumns / 4
    for block in 0..<wordsPerRow / blockWords {
      for r in 0..<Self.panelRows {
        let w = r * wordsPerRow + block * blockWords
        let place = start + block * format.blockByteCount + 4 * r
        func store(_ word: UInt32, _ vector: Int = 0) {
          memory.storeBytes(of: word, toByteOffset: place + 64 * vector, as: UInt32.self)
        }
        switch format {
        case .int2:
          store(words[w] | words[w + 1] << 2 | words[w + 2] << 4 | words[w + 3] << 6)
        case .int3:
          let (x, y) = (words[w + 6], words[w + 7])
          store(words[w] | words[w + 1] << 3 | (x & 0x0606_0606) << 5)
          store(words[w + 2] | words[w + 3] << 3 | (y & 0x0606_0606) << 5, 1)
          store(
            words[w + 4] | words[w + 5] << 3 | (x & 0x0101_0101) << 6 | (y & 0x0101_0101) << 7, 2)
        case .int4: store(words[w] | words[w + 1] << 4)
        case .int8: store(words[w])
        case .e8p, .trellis2, .trellis2_5, .trellis3:
          preconditionFailure("the codes of \(format.rawValue) do not lie in words")
        }
      }
    }
  }
}
