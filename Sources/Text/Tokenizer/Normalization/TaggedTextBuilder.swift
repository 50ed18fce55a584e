/// A `TaggedText` that is written from the front to the end.
struct TaggedTextBuilder {
  private(set) var text = TaggedText([UInt8]())
  /// Whether bytes are tagged: only if the text that is being changed has content.
  private let isTagged: Bool

  /// A builder of the changed form of `source`.
  init(for source: TaggedText) {
    isTagged = !source.isContent.isEmpty
    text.bytes.reserveCapacity(source.bytes.count)
    if isTagged { text.isContent.reserveCapacity(source.bytes.count) }
  }

  /// Appends bytes that are all content or all not.
  mutating func append(_ bytes: some Collection<UInt8>, isContent: Bool) {
    text.bytes.append(contentsOf: bytes)
    if isTagged {
      text.isContent.append(contentsOf: repeatElement(isContent, count: bytes.count))
    }
  }

  /// Appends a part of another text with its tags.
  mutating func append(_ source: TaggedText, in range: Range<Int>) {
    text.bytes.append(contentsOf: source.bytes[range])
    if isTagged { text.isContent.append(contentsOf: source.isContent[range]) }
  }

  /// Appends a scalar.
  mutating func append(scalar: UInt32, isContent: Bool) {
    if scalar < 0x80 {
      text.bytes.append(UInt8(scalar))
      if isTagged { text.isContent.append(isContent) }
    } else if let scalar = Unicode.Scalar(scalar) {
      append(UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter, isContent: isContent)
    }
  }

  /// Removes bytes at the end.
  mutating func removeLast(_ count: Int) {
    text.bytes.removeLast(count)
    if isTagged { text.isContent.removeLast(count) }
  }
}

/// The scalar at `position` of valid UTF-8, and the position behind it.
func decodedScalar(_ bytes: [UInt8], at position: Int) -> (scalar: UInt32, end: Int) {
  let first = UInt32(bytes[position])
  func bits(_ offset: Int) -> UInt32 { UInt32(bytes[position + offset] & 0x3F) }
  if first < 0x80 { return (first, position + 1) }
  if first < 0xE0 { return ((first & 0x1F) << 6 | bits(1), position + 2) }
  if first < 0xF0 { return ((first & 0x0F) << 12 | bits(1) << 6 | bits(2), position + 3) }
  return (
    (first & 0x07) << 18 | bits(1) << 12 | bits(2) << 6 | bits(3), position + 4
  )
}
