/// The conversion of text to the symbols that merging starts from.
struct SymbolAlphabet: Sendable {
  /// The unit of text that is one symbol.
  enum Unit: Sendable {
    /// One byte, written in the `ByteLevelAlphabet`.
    case byte
    /// One Unicode scalar, written as itself.
    case scalar
  }

  /// The unit of text that is one symbol.
  let unit: Unit
  /// The id of the piece of each byte (if `unit` is `byte`) or of each ASCII scalar, or -1.
  private let direct: [Int32]
  /// The id of each byte's piece `<0xHH>`, or -1; empty without byte fallback.
  private let byteFallback: [Int32]
  /// The id for text without a piece, or -1.
  private let unknown: Int32
  /// Whether neighbouring unknown scalars become one symbol.
  private let fusesUnknown: Bool

  /// The alphabet of a vocabulary.
  init(
    unit: Unit, vocabulary: Vocabulary, usesByteFallback: Bool, unknown: Int32?,
    fusesUnknown: Bool
  ) {
    self.unit = unit
    self.unknown = unknown ?? -1
    self.fusesUnknown = fusesUnknown
    direct = (UInt8.min...(unit == .byte ? .max : 0x7F)).map { byte in
      var piece: [UInt8] = []
      if unit == .byte {
        ByteLevelAlphabet.append(byte, to: &piece)
      } else {
        piece.append(byte)
      }
      return vocabulary.id(of: piece) ?? -1
    }
    byteFallback = usesByteFallback ? Self.fallbackIDs(of: vocabulary) : []
  }

  /// The id of the piece `<0xHH>` of each byte, or -1.
  static func fallbackIDs(of vocabulary: Vocabulary) -> [Int32] {
    (UInt8.min ... .max).map { vocabulary.id(of: fallbackPiece(of: $0)) ?? -1 }
  }

  /// The piece `<0xHH>` of `byte`, its digits in upper case.
  static func fallbackPiece(of byte: UInt8) -> [UInt8] {
    let digits = Array("0123456789ABCDEF".utf8)
    return Array("<0x".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)], UInt8(ascii: ">")]
  }

  /// The byte that a piece of exactly the form `<0xHH>` stands for, digits in either case.
  static func byte(ofFallbackPiece piece: some RandomAccessCollection<UInt8>) -> UInt8? {
    guard piece.count == 6, piece.starts(with: "<0x".utf8), piece.last == UInt8(ascii: ">") else {
      return nil
    }
    var value: UInt8 = 0
    for digit in piece.dropFirst(3).dropLast() {
      switch digit {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | (digit - UInt8(ascii: "0"))
      case UInt8(ascii: "A")...UInt8(ascii: "F"):
        value = value << 4 | (digit - UInt8(ascii: "A") + 10)
      case UInt8(ascii: "a")...UInt8(ascii: "f"):
        value = value << 4 | (digit - UInt8(ascii: "a") + 10)
      default: return nil
      }
    }
    return value
  }

  /// Whether all text can be encoded.
  var isComplete: Bool {
    if unknown >= 0 { return true }
    switch unit {
    case .byte:
      // No UTF-8 text holds the bytes C0, C1 and F5 to FF.
      return (UInt8.min ... .max).allSatisfy {
        direct[Int($0)] >= 0 || !(0x00...0xBF).contains($0) && !(0xC2...0xF4).contains($0)
      }
    case .scalar: return !byteFallback.isEmpty && byteFallback.allSatisfy { $0 >= 0 }
    }
  }

  /// The number of bytes of `text[range]`, valid UTF-8, for which `appendSymbols` has no symbol.
  func droppedByteCount(of text: [UInt8], in range: Range<Int>, vocabulary: Vocabulary) -> Int {
    if unknown >= 0 { return 0 }
    var symbols: [Int32] = []
    var count = 0
    var position = range.lowerBound
    while position < range.upperBound {
      let end = min(position + unitLength(text[position]), range.upperBound)
      symbols.removeAll(keepingCapacity: true)
      appendSymbols(of: text, in: position..<end, vocabulary: vocabulary, to: &symbols)
      if symbols.isEmpty { count += end - position }
      position = end
    }
    return count
  }

  /// The number of bytes of the unit that starts with `byte`.
  private func unitLength(_ byte: UInt8) -> Int { unit == .byte ? 1 : scalarLength(byte) }

  /// Appends the symbols of `text[range]`, which is valid UTF-8.
  ///
  /// The symbols that are already in `symbols` are taken as those of the text before: if unknown
  /// scalars are to be fused, those on both sides of the border become one symbol.
  func appendSymbols(
    of text: [UInt8], in range: Range<Int>, vocabulary: Vocabulary, to symbols: inout [Int32]
  ) {
    var position = range.lowerBound
    var endsInUnknown = unknown >= 0 && symbols.last == unknown
    while position < range.upperBound {
      let first = text[position]
      let end = min(position + unitLength(first), range.upperBound)
      let id =
        Int(first) < direct.count
        ? direct[Int(first)] : vocabulary.id(of: text, in: position..<end) ?? -1
      if id >= 0 {
        symbols.append(id)
        endsInUnknown = false
      } else if !byteFallback.isEmpty,
        text[position..<end].allSatisfy({ byteFallback[Int($0)] >= 0 })
      {
        // As in Hugging Face tokenizers, the unknown scalar before bytes comes after them.
        if endsInUnknown { symbols.removeLast() }
        for byte in text[position..<end] { symbols.append(byteFallback[Int(byte)]) }
        if endsInUnknown { symbols.append(unknown) }
      } else if unknown >= 0 {
        if !(endsInUnknown && fusesUnknown) { symbols.append(unknown) }
        endsInUnknown = true
      }
      position = end
    }
  }
}
