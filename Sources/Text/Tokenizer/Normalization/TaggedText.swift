/// UTF-8 text with a tag for each byte that says whether the byte is content.
struct TaggedText {
  /// The text, valid UTF-8.
  var bytes: [UInt8]
  /// Per byte: whether it is content; empty when nothing is.
  var isContent: [Bool]

  /// Whether the original text began before the first scalar.
  var hasLostStart = false

  /// Text without content.
  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    isContent = []
  }

  /// The segments joined.
  init(joining segments: [TextSegment]) {
    self.init([UInt8]())
    let hasContent = segments.contains { $0.isContent }
    for segment in segments {
      bytes.append(contentsOf: segment.text.utf8)
      if hasContent {
        isContent.append(
          contentsOf: repeatElement(segment.isContent, count: bytes.count - isContent.count))
      }
    }
  }

  /// A part of `text`.
  init(_ text: TaggedText, in range: Range<Int>) {
    bytes = Array(text.bytes[range])
    isContent = text.isContent.isEmpty ? [] : Array(text.isContent[range])
    hasLostStart = text.hasLostStart || range.lowerBound > 0
  }

  /// Whether the byte at `index` is content.
  func isContent(at index: Int) -> Bool { !isContent.isEmpty && isContent[index] }

  /// Whether any byte in `range` is content.
  func isContent(in range: Range<Int>) -> Bool {
    !isContent.isEmpty && isContent[range].contains(true)
  }

  /// Puts `prefix`, which is not content, at the start.
  mutating func prepend(_ prefix: [UInt8]) {
    bytes.insert(contentsOf: prefix, at: 0)
    if !isContent.isEmpty {
      isContent.insert(contentsOf: repeatElement(false, count: prefix.count), at: 0)
    }
  }

  /// The text with every occurrence of `pattern` replaced, from left to right.
  ///
  /// A replacement is content if any byte that it replaces is content.
  ///
  /// - Complexity: O(length of text * length of `pattern`).
  func replacing(_ pattern: [UInt8], with content: [UInt8]) -> TaggedText {
    guard let first = pattern.first, bytes.contains(first) else { return self }
    var result = TaggedText([UInt8]())
    result.hasLostStart = hasLostStart
    result.bytes.reserveCapacity(bytes.count)
    var position = 0
    while position < bytes.count {
      let end = position + pattern.count
      if bytes[position] == first, end <= bytes.count, bytes[position..<end].elementsEqual(pattern)
      {
        if losesStart(position..<end, replacedBy: content) { result.hasLostStart = true }
        result.bytes.append(contentsOf: content)
        if !isContent.isEmpty {
          let tag = isContent[position..<end].contains(true)
          result.isContent.append(contentsOf: repeatElement(tag, count: content.count))
        }
        position = end
      } else {
        result.bytes.append(bytes[position])
        if !isContent.isEmpty { result.isContent.append(isContent[position]) }
        position += 1
      }
    }
    return result
  }

  /// The text with every match of `expression` replaced; an empty match is a place to insert.
  ///
  /// A replacement is content if any byte that it replaces is content, or, if it replaces nothing, the
  /// byte before it.
  ///
  /// - Complexity: O(length); see `RegularExpression`.
  func replacingMatches(of expression: RegularExpression, with content: [UInt8]) -> TaggedText {
    var result = TaggedTextBuilder(for: self)
    var end = 0
    expression.forEachMatch(in: bytes, bytes.indices) { match in
      result.append(self, in: end..<match.lowerBound)
      let replaced = match.isEmpty ? max(match.lowerBound - 1, 0)..<match.lowerBound : match
      result.append(content, isContent: isContent(in: replaced))
      if losesStart(match, replacedBy: content) { result.markLostStart() }
      end = match.upperBound
    }
    result.append(self, in: end..<bytes.count)
    return result.text
  }
  /// Whether a replacement of `range` makes the text begin behind its original start.
  ///
  /// As in Hugging Face tokenizers, a replacement stands where the last scalar that it replaces was.
  private func losesStart(_ range: Range<Int>, replacedBy content: [UInt8]) -> Bool {
    guard range.lowerBound == 0, !range.isEmpty else { return false }
    return content.isEmpty || decodedScalar(bytes, at: 0).end < range.upperBound
  }
}
