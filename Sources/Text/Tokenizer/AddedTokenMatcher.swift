/// The search for added tokens in a text: leftmost first, longest first at the same place.
///
/// The tokens' texts are kept as a tree of bytes.
struct AddedTokenMatcher: Sendable {
  /// A part of a text that was searched.
  enum Part: Equatable {
    /// An added token.
    case token(id: Int)
    /// Text between added tokens, never empty.
    case text(Range<Int>)
  }

  private struct Node {
    let byte: UInt8
    /// The next node with the same parent, or -1.
    let sibling: Int32
    var firstChild: Int32 = -1
    /// The index of the token that ends here, or -1.
    var token: Int32 = -1
  }

  private var tokens: [AddedToken] = []
  private var nodes: [Node] = []
  /// The node of each first byte, or -1.
  private var roots = [Int32](repeating: -1, count: 256)

  /// A matcher of the given tokens.
  ///
  /// - Parameters:
  ///   - tokens: The tokens.
  ///   - contents: The bytes to search for in place of each token's own content.
  init(_ tokens: [AddedToken], contents: [[UInt8]]) {
    for (token, content) in zip(tokens, contents) where !content.isEmpty {
      insert(content, token: token)
    }
  }

  private mutating func insert(_ content: [UInt8], token: AddedToken) {
    var node: Int32 = -1
    for byte in content {
      var child = child(of: node, byte: byte)
      if child < 0 {
        child = Int32(nodes.count)
        if node < 0 {
          nodes.append(Node(byte: byte, sibling: -1))
          roots[Int(byte)] = child
        } else {
          nodes.append(Node(byte: byte, sibling: nodes[Int(node)].firstChild))
          nodes[Int(node)].firstChild = child
        }
      }
      node = child
    }
    guard node >= 0, nodes[Int(node)].token < 0 else { return }
    nodes[Int(node)].token = Int32(tokens.count)
    tokens.append(token)
  }

  /// The child of `node` (of the root, when negative) for `byte`, or -1.
  private func child(of node: Int32, byte: UInt8) -> Int32 {
    guard node >= 0 else { return roots[Int(byte)] }
    var child = nodes[Int(node)].firstChild
    while child >= 0, nodes[Int(child)].byte != byte { child = nodes[Int(child)].sibling }
    return child
  }

  /// Cuts `text` at the added tokens.
  ///
  /// A token is not recognised if any byte of it is content. White space that becomes part of a
  /// token ends where content begins.
  ///
  /// - Complexity: O(length of `text` * length of the longest token).
  func split(_ text: TaggedText) -> [Part] {
    let count = text.bytes.count
    var parts: [Part] = []
    var startOfText = 0
    var position = nodes.isEmpty ? count : 0
    while position < count {
      guard roots[Int(text.bytes[position])] >= 0, let match = longestMatch(in: text, at: position)
      else {
        position += 1
        continue
      }
      let token = tokens[match.token]
      if token.isSingleWord, touchesWord(text.bytes, position..<match.end) {
        position = match.end
        continue
      }
      var start = position
      var end = match.end
      if token.stripsLeft { start = startOfWhiteSpace(in: text, before: start, from: startOfText) }
      if token.stripsRight { end = endOfWhiteSpace(in: text, from: end) }
      if startOfText < start { parts.append(.text(startOfText..<start)) }
      parts.append(.token(id: token.id))
      startOfText = end
      position = end
    }
    if startOfText < count { parts.append(.text(startOfText..<count)) }
    return parts
  }

  private func longestMatch(in text: TaggedText, at start: Int) -> (token: Int, end: Int)? {
    var best: (token: Int, end: Int)?
    var node: Int32 = -1
    var position = start
    while position < text.bytes.count, !text.isContent(at: position) {
      node = child(of: node, byte: text.bytes[position])
      if node < 0 { break }
      position += 1
      let token = nodes[Int(node)].token
      if token >= 0 { best = (Int(token), position) }
    }
    return best
  }

  // MARK: - Surroundings

  private func touchesWord(_ bytes: [UInt8], _ range: Range<Int>) -> Bool {
    Self.scalar(before: range.lowerBound, in: bytes).map { Self.isWordCharacter($0.scalar) } == true
      || Self.scalar(at: range.upperBound, in: bytes).map { Self.isWordCharacter($0.scalar) }
        == true
  }

  private func startOfWhiteSpace(in text: TaggedText, before end: Int, from limit: Int) -> Int {
    var start = end
    while let (scalar, position) = Self.scalar(before: start, in: text.bytes), position >= limit,
      scalar.properties.isWhitespace, !text.isContent(at: position)
    {
      start = position
    }
    return start
  }

  private func endOfWhiteSpace(in text: TaggedText, from start: Int) -> Int {
    var end = start
    while let (scalar, next) = Self.scalar(at: end, in: text.bytes),
      scalar.properties.isWhitespace, !text.isContent(at: end)
    {
      end = next
    }
    return end
  }

  /// Whether a scalar is `\w`: Alphabetic, mark, decimal digit, connector or join control.
  private static func isWordCharacter(_ scalar: Unicode.Scalar) -> Bool {
    let properties = scalar.properties
    if properties.isAlphabetic || properties.isJoinControl { return true }
    switch properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation:
      return true
    default: return false
    }
  }

  private static func scalar(
    at position: Int, in bytes: [UInt8]
  ) -> (scalar: Unicode.Scalar, next: Int)? {
    guard position < bytes.count else { return nil }
    var end = position + 1
    while end < bytes.count, bytes[end] & 0xC0 == 0x80 { end += 1 }
    let text = String(decoding: bytes[position..<end], as: UTF8.self)
    return text.unicodeScalars.first.map { ($0, end) }
  }

  private static func scalar(
    before position: Int, in bytes: [UInt8]
  ) -> (scalar: Unicode.Scalar, start: Int)? {
    var start = position - 1
    while start > 0, bytes[start] & 0xC0 == 0x80 { start -= 1 }
    guard start >= 0, let (scalar, _) = scalar(at: start, in: bytes) else { return nil }
    return (scalar, start)
  }
}
