/// A `TaggedText` that is written from the front to the end.
struct TaggedTextBuilder {
  private(set) var text = TaggedText([UInt8]())
  /// Whether bytes are tagged: only if the text that is being changed has content.
  private let isTagged: Bool

  /// A builder of the changed form of `source`.
  init(for source: TaggedText) {
    isTagged = !source.isContent.isEmpty
    text.hasLostStart = source.hasLostStart
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

  /// Notes that the original text began before the first scalar of the changed one.
  mutating func markLostStart() { text.hasLostStart = true }

  /// Removes bytes at the end.
  mutating func removeLast(_ count: Int) {
    text.bytes.removeLast(count)
    if isTagged { text.isContent.removeLast(count) }
  }
}
