/// Text inside a template, with the ranges of it that are content.
///
/// Python's string operations are defined on code points, and Swift's `String` compares canonically
/// equivalent spellings as equal, so the text is kept as UTF-8 bytes and every operation names its unit.
struct TemplateText: Sendable {
  /// Valid UTF-8.
  private(set) var bytes: [UInt8]
  /// The byte ranges that are content: ascending, not empty, neither overlapping nor adjacent.
  private(set) var contentRanges: [Range<Int>]
  /// Whether the filters `safe` or `escape` made it: Jinja then escapes strings that are added.
  var isMarkup = false

  /// Text that is content as a whole, or not at all.
  init(_ text: String, isContent: Bool = false) {
    self.init(bytes: Array(text.utf8), isContent: isContent)
  }

  /// Text of valid UTF-8 that is content as a whole, or not at all.
  init(bytes: [UInt8] = [], isContent: Bool = false) {
    self.bytes = bytes
    contentRanges = isContent && !bytes.isEmpty ? [0..<bytes.count] : []
  }

  var isEmpty: Bool { bytes.isEmpty }

  /// What an operation over the whole text costs, in bytes read or written.
  var cost: Int { bytes.count + contentRanges.count * MemoryLayout<Range<Int>>.stride }

  /// The text as a string.
  var string: String { String(decoding: bytes, as: UTF8.self) }

  /// The beginning of the text, long enough for a message.
  var excerpt: String { scalarSlice(0..<400).string }

  /// The text cut where content begins and ends, without empty segments.
  var segments: [TextSegment] {
    var result: [TextSegment] = []
    var position = 0
    func add(_ range: Range<Int>, isContent: Bool) {
      guard !range.isEmpty else { return }
      let text = String(decoding: bytes[range], as: UTF8.self)
      result.append(TextSegment(text, isContent: isContent))
    }
    for range in contentRanges {
      add(position..<range.lowerBound, isContent: false)
      add(range, isContent: true)
      position = range.upperBound
    }
    add(position..<bytes.count, isContent: false)
    return result
  }

  /// Whether both have the same code points, content or not.
  func hasSameText(as other: TemplateText) -> Bool { bytes == other.bytes }

  // MARK: - Joining and cutting

  /// Adds `other` at the end.
  ///
  /// - Complexity: amortised O(`other.cost`).
  mutating func append(_ other: TemplateText) {
    let offset = bytes.count
    bytes.append(contentsOf: other.bytes)
    for range in other.contentRanges {
      addContent(range.lowerBound + offset..<range.upperBound + offset)
    }
  }

  /// Adds bytes at the end that are content as a whole, or not at all.
  mutating func append(_ piece: some Collection<UInt8>, isContent: Bool) {
    let start = bytes.count
    bytes.append(contentsOf: piece)
    if isContent { addContent(start..<bytes.count) }
  }

  private mutating func addContent(_ range: Range<Int>) {
    guard !range.isEmpty else { return }
    if let last = contentRanges.last, last.upperBound == range.lowerBound {
      contentRanges[contentRanges.count - 1] = last.lowerBound..<range.upperBound
    } else {
      contentRanges.append(range)
    }
  }

  /// The text in a range of bytes whose ends lie between code points.
  ///
  /// - Complexity: O(bytes in the range + content ranges in it + log of all content ranges).
  func slice(_ range: Range<Int>) -> TemplateText {
    var result = TemplateText()
    result.bytes = Array(bytes[range])
    result.isMarkup = isMarkup
    var index = firstContentRange(endingAfter: range.lowerBound)
    while index < contentRanges.count, contentRanges[index].lowerBound < range.upperBound {
      let clamped = contentRanges[index].clamped(to: range)
      result.addContent(
        clamped.lowerBound - range.lowerBound..<clamped.upperBound - range.lowerBound)
      index += 1
    }
    return result
  }

  /// Whether the byte at `position` belongs to content.
  func isContent(at position: Int) -> Bool {
    let index = firstContentRange(endingAfter: position)
    return index < contentRanges.count && contentRanges[index].contains(position)
  }

  private func firstContentRange(endingAfter position: Int) -> Int {
    var low = 0
    var high = contentRanges.count
    while low < high {
      let middle = (low + high) / 2
      if contentRanges[middle].upperBound > position { high = middle } else { low = middle + 1 }
    }
    return low
  }

  // MARK: - Code points

  /// The number of code points.
  var scalarCount: Int { bytes.reduce(0) { $0 + (Self.beginsScalar($1) ? 1 : 0) } }

  /// The text of each code point by itself.
  var scalars: [TemplateText] {
    var result: [TemplateText] = []
    var position = 0
    while position < bytes.count {
      let width = scalar(at: position).width
      result.append(slice(position..<position + width))
      position += width
    }
    return result
  }

  /// The text between two positions counted in code points, which may lie beyond its end.
  func scalarSlice(_ range: Range<Int>) -> TemplateText {
    let start = advance(from: 0, by: range.lowerBound)
    return slice(start..<advance(from: start, by: range.count))
  }

  /// The code point that begins at a byte position, and its length in bytes.
  func scalar(at position: Int) -> (scalar: Unicode.Scalar, width: Int) {
    let lead = UInt32(bytes[position])
    if lead < 0x80 { return (Unicode.Scalar(bytes[position]), 1) }
    let width = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
    var value = lead & (0x7F >> UInt32(width))
    for byte in bytes[position + 1..<position + width] { value = value << 6 | UInt32(byte & 0x3F) }
    return (Unicode.Scalar(value) ?? "\u{FFFD}", width)
  }

  /// The code point that ends before a byte position, and its length in bytes.
  func scalar(endingAt end: Int) -> (scalar: Unicode.Scalar, width: Int) {
    var start = end - 1
    while start > 0, !Self.beginsScalar(bytes[start]) { start -= 1 }
    return scalar(at: start)
  }

  /// The byte position `count` code points after another one, or the end if there are fewer.
  private func advance(from start: Int, by count: Int) -> Int {
    var position = start
    var remaining = count
    while position < bytes.count {
      if Self.beginsScalar(bytes[position]) {
        if remaining == 0 { return position }
        remaining -= 1
      }
      position += 1
    }
    return position
  }

  private static func beginsScalar(_ byte: UInt8) -> Bool { byte & 0xC0 != 0x80 }
}
