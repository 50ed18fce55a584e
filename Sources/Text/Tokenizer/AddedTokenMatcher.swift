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
      // The search goes on in the white space that became part of the token; what is found there
      // is a token as well, and the white space behind it is text again.
      startOfText = end
      position = match.end
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
    func isWord(_ position: Int) -> Bool {
      ScalarSet.stepWord.contains(decodedScalar(bytes, at: position).scalar)
    }
    return range.lowerBound > 0 && isWord(startOfScalar(bytes, endingAt: range.lowerBound))
      || range.upperBound < bytes.count && isWord(range.upperBound)
  }

  private func startOfWhiteSpace(in text: TaggedText, before end: Int, from limit: Int) -> Int {
    var start = end
    while start > limit, case let previous = startOfScalar(text.bytes, endingAt: start),
      isWhiteSpace(text, at: previous)
    {
      start = previous
    }
    return start
  }

  private func endOfWhiteSpace(in text: TaggedText, from start: Int) -> Int {
    var end = start
    while end < text.bytes.count, isWhiteSpace(text, at: end) {
      end = decodedScalar(text.bytes, at: end).end
    }
    return end
  }

  /// Whether there is white space at `position` that is not content.
  private func isWhiteSpace(_ text: TaggedText, at position: Int) -> Bool {
    !text.isContent(at: position)
      && ScalarClass.of(decodedScalar(text.bytes, at: position).scalar) == .whiteSpace
  }
}
