/// A regular expression as a tree.
indirect enum RegularExpressionNode: Sendable {
  /// One scalar of a set.
  case set(ScalarSet)
  /// The parts one after the other; without parts, the empty text.
  case sequence([RegularExpressionNode])
  /// The first of the branches that leads to a match.
  case alternation([RegularExpressionNode])
  /// The body `minimum` times to `maximum` times (without end if nil).
  case repetition(RegularExpressionNode, minimum: Int, maximum: Int?, isLazy: Bool)
  /// Whether the text from here on starts with a match.
  case lookAhead(RegularExpressionNode, isNegated: Bool)
  /// Whether there is a scalar of the set before here or, if `orStart`, nothing at all.
  case lookBehind(ScalarSet, orStart: Bool, isNegated: Bool)
  /// Whether the text ends here.
  case end

  /// Whether the node can match the empty text.
  ///
  /// - Complexity: O(size).
  var isNullable: Bool {
    switch self {
    case .set: false
    case .sequence(let parts): parts.allSatisfy(\.isNullable)
    case .alternation(let branches): branches.contains(where: \.isNullable)
    case .repetition(let body, let minimum, _, _): minimum == 0 || body.isNullable
    case .lookAhead, .lookBehind, .end: true
    }
  }

  /// The scalars that the node matches if it always matches one scalar, else nil.
  var singleScalar: ScalarSet? {
    switch self {
    case .set(let set): return set
    case .sequence(let parts): return parts.count == 1 ? parts[0].singleScalar : nil
    case .alternation(let branches):
      var result = ScalarSet.none
      for branch in branches {
        guard let set = branch.singleScalar else { return nil }
        result = result.union(set)
      }
      return result
    default: return nil
    }
  }

  /// A repetition that never gives back what it took, if there is a node for it.
  ///
  /// After as many scalars of a set as there are comes a scalar that is not of the set: so `C*+` is
  /// `C*(?!C)`, and `C?+` is `C|(?!C)`.
  static func possessive(
    _ body: RegularExpressionNode, minimum: Int, maximum: Int?
  ) -> RegularExpressionNode? {
    guard let set = body.singleScalar else { return nil }
    let noMore = RegularExpressionNode.lookAhead(.set(set), isNegated: true)
    switch (minimum, maximum) {
    case (0, 1): return .alternation([.set(set), noMore])
    case (0...1, nil):
      return .sequence([
        .repetition(.set(set), minimum: minimum, maximum: nil, isLazy: false), noMore,
      ])
    default: return nil
    }
  }

  /// Text that is matched scalar by scalar.
  static func literal(_ text: String) -> RegularExpressionNode {
    .sequence(text.unicodeScalars.map { .set(ScalarSet($0.value)) })
  }
}
