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

  /// The text with the first letter of each word in title case and the others in lower case.
  ///
  /// Follows Python's `str.title` except for its rule about the last sigma of a Greek word.
  func titled() -> TemplateText {
    var result = TemplateText()
    var position = 0
    var insideWord = false
    while position < bytes.count {
      let next = scalar(at: position)
      let properties = next.scalar.properties
      let mapped = insideWord ? properties.lowercaseMapping : properties.titlecaseMapping
      result.append(mapped.utf8, isContent: isContent(at: position))
      insideWord = properties.isCased
      position += next.width
    }
    return result
  }

  /// The pieces between the occurrences of `separator`, which must not be empty.
  ///
  /// - Returns: nil when there are more than `limit` pieces.
  func split(at separator: TemplateText, limit: Int) -> [TemplateText]? {
    guard separator.bytes.count <= bytes.count else { return [self] }
    let pattern = BytePattern(separator.bytes)
    var pieces: [TemplateText] = []
    var start = 0
    while let match = pattern.firstMatch(in: bytes, from: start) {
      guard pieces.count + 1 < limit else { return nil }
      pieces.append(slice(start..<match))
      start = match + separator.bytes.count
    }
    pieces.append(slice(start..<bytes.count))
    return pieces
  }

  /// The pieces of the text between white space, or nil when there are more than `limit`.
  func splitAtWhitespace(limit: Int) -> [TemplateText]? {
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
      }
      position += next.width
    }
    return pieces
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
