/// A SentencePiece model's map from sequences of scalars to text, such as `nmt_nfkc`.
///
/// The sequences are kept as a double array: the children of a node are found by exclusive or of the
/// node's offset and the byte.
///
/// Source: google/sentencepiece, `normalizer.cc` and the double array of darts-clone.
struct CharacterMap: Sendable, Equatable {
  /// The units of the double array.
  private let units: [UInt32]
  /// The texts that are put in, each with a zero behind it.
  private let texts: [UInt8]

  /// A map as a model file has it: the size of the double array, the double array, the texts.
  ///
  /// - Returns: nil when the bytes have another form.
  init?(_ blob: some Collection<UInt8>) {
    let bytes = Array(blob)
    func word(_ start: Int) -> UInt32 {
      UInt32(bytes[start]) | UInt32(bytes[start + 1]) << 8 | UInt32(bytes[start + 2]) << 16
        | UInt32(bytes[start + 3]) << 24
    }
    guard bytes.count > 4, case let size = Int(word(0)), size > 0, size % 4 == 0,
      size < bytes.count - 4
    else { return nil }
    units = stride(from: 4, to: 4 + size, by: 4).map(word)
    texts = Array(bytes[(4 + size)...])
    guard texts.last == 0, String(validating: texts, as: UTF8.self) != nil else { return nil }
  }

  /// The number of bytes of `bytes[range]`, from its start, that are replaced as one, and the
  /// place of their replacement in `texts`; nil when no sequence of the map begins there.
  private func match(
    _ bytes: [UInt8], in range: Range<Int>, isLongest: Bool
  ) -> (count: Int, text: Int)? {
    func offset(_ unit: UInt32) -> Int { Int(unit >> 10) << Int((unit & 1 << 9) >> 6) }
    var result: (count: Int, text: Int)?
    var node = offset(units[0])
    for index in range {
      let byte = bytes[index]
      if byte == 0 { break }
      node ^= Int(byte)
      guard node < units.count, units[node] & 0x8000_00FF == UInt32(byte) else { break }
      let isEnd = units[node] >> 8 & 1 == 1
      node ^= offset(units[node])
      guard node < units.count else { break }
      if isEnd {
        let text = Int(units[node] & 0x7FFF_FFFF)
        guard text < texts.count else { break }
        result = (index - range.lowerBound + 1, text)
        if !isLongest { break }
      }
    }
    return result
  }

  /// The text that starts at `start`.
  private func text(at start: Int) -> ArraySlice<UInt8> {
    texts[start...].prefix { $0 != 0 }
  }

  /// The replacement of the longest sequence at the start of `bytes[range]`.
  func longestReplacement(
    _ bytes: [UInt8], in range: Range<Int>
  ) -> (count: Int, text: ArraySlice<UInt8>)? {
    match(bytes, in: range, isLongest: true).map { ($0.count, text(at: $0.text)) }
  }

  /// The text as the normalizer `Precompiled` of Hugging Face tokenizers changes it.
  ///
  /// A grapheme of fewer than six bytes is replaced as a whole by the replacement of the shortest
  /// sequence at its start; in other graphemes each scalar is replaced by itself.
  ///
  /// Source: Hugging Face tokenizers 0.23, `normalizers/precompiled.rs`.
  func applied(to text: TaggedText) -> TaggedText {
    var result = TaggedTextBuilder(for: text)
    var start = 0
    for grapheme in String(decoding: text.bytes, as: UTF8.self) {
      let end = start + grapheme.utf8.count
      if end - start < 6, let match = match(text.bytes, in: start..<end, isLongest: false) {
        let replacement = self.text(at: match.text)
        if replacement.isEmpty, start == 0 { result.markLostStart() }
        result.append(replacement, isContent: text.isContent(in: start..<end))
      } else {
        appendScalars(of: text, in: start..<end, to: &result)
      }
      start = end
    }
    return result.text
  }

  private func appendScalars(
    of text: TaggedText, in range: Range<Int>, to result: inout TaggedTextBuilder
  ) {
    var position = range.lowerBound
    while position < range.upperBound {
      let end = decodedScalar(text.bytes, at: position).end
      if let match = match(text.bytes, in: position..<end, isLongest: false) {
        result.append(self.text(at: match.text), isContent: text.isContent(at: position))
      } else {
        result.append(text, in: position..<end)
      }
      position = end
    }
  }
}
