internal import Synchronization

/// A regular expression that finds all its matches in a text in time proportional to the text.
///
/// The dialect is Oniguruma's, as far as published tokenizers use it; see
/// `RegularExpressionParser`. What goes beyond is refused by naming the construct: back references,
/// calls of groups, atomic groups and possessive quantifiers of more than one character,
/// look-behind at more than one character.
///
/// # Why it is linear
///
/// Engines that go back and try again take quadratic time or worse: for `a+b|a` on a run of n "a",
/// each of n attempts looks for the "b" at the end. They also keep a stack that grows with the
/// text.
///
/// Here nothing is tried. An expression is a program (`Program`): states that say what the rest of
/// a match must be. A state is *viable* at a position if the text from there on starts with such a
/// rest. Whether a state is viable depends only on the scalar at the position, the scalar before
/// it, and the states that are viable at the next position. So one pass from the end of the text to
/// its start finds all viable states everywhere, including those inside look-ahead, which are
/// states like the others. `ViabilityAutomaton` makes this pass one look in a table for each
/// scalar.
///
/// Then the search goes forwards. A match starts at the first position where the first state is
/// viable. At a choice the match takes the first branch that is viable. This is the branch that
/// trying would end up with, since a branch is viable exactly if trying it succeeds. No step is
/// ever taken back.
///
/// Each of the two passes visits each scalar once (the first one twice in long texts, see `Scan`).
/// A visit of the second pass takes at most as many steps as the program has states. The tables of
/// the first pass are bounded: when they are full they are made again, which costs O(states) for a
/// scalar. So the time is O(length * states) whatever the text and the expression, and O(length) in
/// practice. Nothing recurses but parsing and building, whose depth is bounded.
package final class RegularExpression: Sendable {
  private let program: Program
  /// The matchers that nobody uses.
  private let idle = Mutex<[Matcher]>([])

  /// Compiles an expression.
  ///
  /// - Throws: `RegularExpressionError`, which names what is not supported.
  /// - Complexity: O(length of the expression + number of states), apart from the sets that it
  ///   names.
  package convenience init(_ pattern: String) throws(RegularExpressionError) {
    try self.init(RegularExpressionParser.parse(pattern))
  }

  /// Compiles an expression given as a tree.
  init(_ node: RegularExpressionNode) throws(RegularExpressionError) {
    program = try Program(node)
  }

  /// Calls `body` with each match in `text[range]`, in order; see `Matcher`.
  package func forEachMatch(
    in text: [UInt8], _ range: Range<Int>, _ body: (Range<Int>) -> Void
  ) {
    let matcher = borrowMatcher()
    defer { giveBack(matcher) }
    matcher.forEachMatch(in: text, range, body)
  }

  /// A matcher with the tables of earlier searches, which is to be given back.
  ///
  /// It is used by nobody else until then.
  package func borrowMatcher() -> Matcher {
    idle.withLock { $0.popLast() } ?? Matcher(program)
  }

  /// Keeps `matcher` for the next search.
  package func giveBack(_ matcher: Matcher) {
    idle.withLock { $0.append(matcher) }
  }
}
