/// The cutting of a piece of text where an expression matches.
struct Split: Sendable {
  /// What becomes of the matches.
  enum Behavior: String, Sendable {
    /// They are dropped.
    case removed = "Removed"
    /// Each is a piece.
    case isolated = "Isolated"
    /// Each is joined with what is before it, unless that is a match as well.
    case mergedWithPrevious = "MergedWithPrevious"
    /// Each is joined with what is after it, unless that is a match as well.
    case mergedWithNext = "MergedWithNext"
    /// Neighbours are joined with each other.
    case contiguous = "Contiguous"
  }

  let expression: RegularExpression
  let behavior: Behavior
  /// Whether the text between matches counts as match and the other way round.
  let isInverted: Bool

  init(
    _ expression: RegularExpression, _ behavior: Behavior, isInverted: Bool = false
  ) {
    self.expression = expression
    self.behavior = behavior
    self.isInverted = isInverted
  }

  /// Calls `body` with each piece of `text[range]`, none of which is empty.
  ///
  /// - Parameters:
  ///   - text: Valid UTF-8.
  ///   - range: The part of it to be cut, which starts and ends between scalars.
  ///   - matcher: A matcher of `expression`.
  ///   - body: Called with the position of each piece, in order.
  /// - Complexity: O(length); see `RegularExpression`.
  ///
  /// Source: Hugging Face tokenizers 0.23, `NormalizedString::split`.
  func forEachPiece(
    in text: [UInt8], _ range: Range<Int>, _ matcher: Matcher, _ body: (Range<Int>) -> Void
  ) {
    /// The last piece, which the next one may still be joined with.
    var pending: Range<Int>?
    var lastIsMatch = false

    func add(_ piece: Range<Int>, isMatch: Bool) {
      let joins =
        switch behavior {
        case .removed, .isolated: false
        case .mergedWithPrevious: isMatch && !lastIsMatch
        case .mergedWithNext: !isMatch && lastIsMatch
        case .contiguous: isMatch == lastIsMatch
        }
      lastIsMatch = isMatch
      if joins, let start = pending?.lowerBound {
        pending = start..<piece.upperBound
        return
      }
      if let pending, !pending.isEmpty { body(pending) }
      pending = behavior == .removed && isMatch ? nil : piece
    }

    var end = range.lowerBound
    matcher.forEachMatch(in: text, range) { match in
      if end != match.lowerBound { add(end..<match.lowerBound, isMatch: isInverted) }
      add(match, isMatch: !isInverted)
      end = match.upperBound
    }
    if end != range.upperBound { add(end..<range.upperBound, isMatch: isInverted) }
    if let pending, !pending.isEmpty { body(pending) }
  }
}
