/// The string methods of Python that templates call, each keeping track of what is content.
extension TemplateText {
  /// Whether Python's `str.isspace` holds: White_Space and the separators U+001C to U+001F.
  static func isWhitespace(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.isASCII {
      return scalar == " " || (0x09...0x0D).contains(scalar.value)
        || (0x1C...0x1F).contains(scalar.value)
    }
    return scalar.properties.isWhitespace
  }

  /// The text without the code points of `set`, or white space when nil, at its ends.
  func stripped(of set: TemplateText? = nil, start: Bool = true, end: Bool = true) -> TemplateText {
    let members = set.map { Set($0.string.unicodeScalars) }
    func isStripped(_ scalar: Unicode.Scalar) -> Bool {
      members?.contains(scalar) ?? Self.isWhitespace(scalar)
    }
    var lower = 0
    var upper = bytes.count
    while start, lower < upper {
      let first = scalar(at: lower)
      guard isStripped(first.scalar) else { break }
      lower += first.width
    }
    while end, lower < upper {
      let last = scalar(endingAt: upper)
      guard isStripped(last.scalar) else { break }
      upper -= last.width
    }
    return slice(lower..<upper)
  }

  /// The pieces between the occurrences of `separator`, which must not be empty.
  ///
  /// - Parameters:
  ///   - separator: What stands between the pieces.
  ///   - cuts: The largest number of cuts; nil for all.
  ///   - limit: The largest number of pieces.
  /// - Returns: nil when there are more than `limit` pieces.
  func split(at separator: TemplateText, cuts: Int? = nil, limit: Int) -> [TemplateText]? {
    guard separator.bytes.count <= bytes.count else { return [self] }
    let pattern = BytePattern(separator.bytes)
    var pieces: [TemplateText] = []
    var start = 0
    while pieces.count < cuts ?? .max, let match = pattern.firstMatch(in: bytes, from: start) {
      guard pieces.count + 1 < limit else { return nil }
      pieces.append(slice(start..<match))
      start = match + separator.bytes.count
    }
    pieces.append(slice(start..<bytes.count))
    return pieces
  }

  /// The pieces between the occurrences of `separator`, cut from the end.
  ///
  /// - Returns: nil when there are more than `limit` pieces.
  /// - Complexity: O(bytes): matches are found in the reversed text.
  func splitFromEnd(at separator: TemplateText, cuts: Int, limit: Int) -> [TemplateText]? {
    guard separator.bytes.count <= bytes.count else { return [self] }
    let pattern = BytePattern(separator.bytes.reversed())
    let reversed = Array(bytes.reversed())
    var pieces: [TemplateText] = []
    var start = 0
    while pieces.count < cuts, let match = pattern.firstMatch(in: reversed, from: start) {
      guard pieces.count + 1 < limit else { return nil }
      pieces.append(slice(bytes.count - match..<bytes.count - start))
      start = match + separator.bytes.count
    }
    pieces.append(slice(0..<bytes.count - start))
    return pieces.reversed()
  }

  /// The pieces of the text between white space, or nil when there are more than `limit`.
  ///
  /// - Parameters:
  ///   - cuts: The largest number of cuts; nil for all. The last piece then keeps its white space
  ///     inside, and what ends the text as well.
  ///   - limit: The largest number of pieces.
  /// - Returns: The pieces, or nil.
  func splitAtWhitespace(cuts: Int? = nil, limit: Int) -> [TemplateText]? {
    var pieces: [TemplateText] = []
    var start = 0
    var position = 0
    while position <= bytes.count {
      let next = position < bytes.count ? scalar(at: position) : (scalar: " ", width: 1)
      if Self.isWhitespace(next.scalar) {
        if start < position {
          guard pieces.count < limit else { return nil }
          pieces.append(slice(start..<position))
        }
        start = position + next.width
      } else if let cuts, pieces.count == cuts {
        guard pieces.count < limit else { return nil }
        pieces.append(slice(start..<bytes.count))
        break
      }
      position += next.width
    }
    return pieces
  }

  /// As `splitAtWhitespace`, cut from the end.
  func splitAtWhitespaceFromEnd(cuts: Int, limit: Int) -> [TemplateText]? {
    var pieces: [TemplateText] = []
    var end = bytes.count
    while true {
      while end > 0, case let last = scalar(endingAt: end), Self.isWhitespace(last.scalar) {
        end -= last.width
      }
      guard end > 0 else { break }
      guard pieces.count < limit else { return nil }
      guard pieces.count < cuts else {
        pieces.append(slice(0..<end))
        break
      }
      var start = end
      while start > 0, case let last = scalar(endingAt: start), !Self.isWhitespace(last.scalar) {
        start -= last.width
      }
      pieces.append(slice(start..<end))
      end = start
    }
    return pieces.reversed()
  }

  /// The lines of the text, without what ends them unless `keepsEnds`; nil when there are more than
  /// `limit`.
  func lines(keepsEnds: Bool, limit: Int) -> [TemplateText]? {
    var lines: [TemplateText] = []
    var start = 0
    var position = 0
    while position < bytes.count {
      let next = scalar(at: position)
      var end = position + next.width
      if Self.lineEnds.contains(next.scalar) {
        if next.scalar == "\r", end < bytes.count, bytes[end] == UInt8(ascii: "\n") { end += 1 }
        guard lines.count < limit else { return nil }
        lines.append(slice(start..<(keepsEnds ? end : position)))
        start = end
      }
      position = end
    }
    if start < bytes.count { lines.append(slice(start..<bytes.count)) }
    return lines
  }

  /// The code points at which `str.splitlines` cuts.
  private static let lineEnds: Set<Unicode.Scalar> = [
    "\n", "\r", "\u{0B}", "\u{0C}", "\u{1C}", "\u{1D}", "\u{1E}", "\u{85}", "\u{2028}", "\u{2029}",
  ]

  /// The text with its code points in the opposite order.
  func reversed() -> TemplateText { TemplateText().joining(scalars.reversed()) }

  /// The text `count` times.
  func repeated(_ count: Int) -> TemplateText {
    let isWhole = contentRanges.first == 0..<bytes.count
    guard contentRanges.isEmpty || isWhole else {
      var result = TemplateText()
      for _ in 0..<max(0, count) { result.append(self) }
      return result
    }
    return TemplateText(
      bytes: Array(repeatElement(bytes, count: max(0, count)).joined()), isContent: isWhole)
  }

  /// The byte positions of the occurrences of `part`, which must not be empty, that do not overlap.
  func positions(of part: TemplateText) -> [Int] {
    let pattern = BytePattern(part.bytes)
    var result: [Int] = []
    var start = 0
    while let match = pattern.firstMatch(in: bytes, from: start) {
      result.append(match)
      start = match + part.bytes.count
    }
    return result
  }

  /// The pieces joined into one text, with `self` between each two of them.
  func joining(_ pieces: [TemplateText]) -> TemplateText {
    var result = TemplateText()
    for (index, piece) in pieces.enumerated() {
      if index > 0 { result.append(self) }
      result.append(piece)
    }
    return result
  }

  /// Whether `other` occurs somewhere in the text; the empty text always does.
  func contains(_ other: TemplateText) -> Bool {
    other.bytes.count <= bytes.count
      && BytePattern(other.bytes).firstMatch(in: bytes, from: 0) != nil
  }
}

/// A string of bytes to search for with the Knuth-Morris-Pratt algorithm.
///
/// Templates and contents are untrusted, so a search must be linear for every pair of strings.
struct BytePattern {
  private let needle: [UInt8]
  /// For each length of a matched prefix, the longest proper prefix that is also its suffix.
  private let borders: [Int]

  init(_ needle: [UInt8]) {
    self.needle = needle
    var borders = [0]
    var matched = 0
    for byte in needle.dropFirst() {
      while matched > 0, needle[matched] != byte { matched = borders[matched - 1] }
      if needle[matched] == byte { matched += 1 }
      borders.append(matched)
    }
    self.borders = borders
  }

  /// The position of the first occurrence that begins at `start` or after it.
  ///
  /// - Complexity: O(`haystack.count - start`).
  func firstMatch(in haystack: [UInt8], from start: Int) -> Int? {
    if needle.isEmpty { return start }
    var matched = 0
    for position in start..<haystack.count {
      while matched > 0, needle[matched] != haystack[position] { matched = borders[matched - 1] }
      if needle[matched] == haystack[position] { matched += 1 }
      if matched == needle.count { return position - matched + 1 }
    }
    return nil
  }
}
