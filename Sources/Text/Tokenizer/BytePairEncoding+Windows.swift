// A long word is merged in overlapping windows, so that the tables stay in the caches for any
// length.
//
// The joined tokens of the windows are the tokens of the whole word for this reason: tokens t1 ...
// tn are the result of merging a word if and only if, for every two neighbours, merging the symbols
// of ti and ti+1 alone gives ti, ti+1.
//
// Proof: take the first merge in the whole word that crosses a border between tokens, say between
// ti and ti+1. Before it, the symbols of each token have only been merged among themselves. The
// merges within ti and ti+1 came in the order that they have when these two are alone, since the
// least pair of the word is also the least pair of any part that contains it. So the crossing merge
// would have happened there as well. The same argument, for a crossing merge of the two alone,
// gives the other direction.
//
// Neighbours inside one window satisfy the condition because they are the result of merging it. So
// only one pair for each two windows has to be checked.
extension BytePairEncoding {
  /// Merges a word and appends its tokens to `ids`.
  ///
  /// - Parameters:
  ///   - text: Valid UTF-8.
  ///   - range: The word.
  ///   - windowSize: The number of symbols in a window at the first attempt.
  ///   - workspace: Memory that is reused from word to word.
  ///   - ids: The array to which the tokens are appended.
  /// - Complexity: O(n log w) for n symbols and windows of w. Where two windows cannot be joined, the word
  ///   is begun again with windows of twice the size, so at worst O(n log(n)^2).
  func mergeLongWord(
    _ text: [UInt8], in range: Range<Int>, windowSize: Int, _ workspace: inout Workspace,
    into ids: inout [Int]
  ) {
    let known = ids.count
    // There is at most one token per byte. Reserved memory that is not used is never touched, while
    // an array that grows is copied. Reserving a little again and again would copy the array each
    // time.
    if range.count > known { ids.reserveCapacity(known + range.count) }
    var size = windowSize
    while !mergeWindows(of: text, in: range, size: size, &workspace, into: &ids) {
      ids.removeLast(ids.count - known)
      size *= 2
    }
  }

  /// Merges a word window by window, holding the symbols of a few windows at a time.
  ///
  /// - Returns: Whether all windows could be joined; if not, `ids` has part of the tokens.
  private func mergeWindows(
    of text: [UInt8], in range: Range<Int>, size: Int, _ workspace: inout Workspace,
    into ids: inout [Int]
  ) -> Bool {
    var unread = range
    workspace.symbols.removeAll(keepingCapacity: true)
    read(text, &unread, until: size, into: &workspace.symbols)
    workspace.window.merge(
      workspace.symbols, in: 0..<min(size, workspace.symbols.count), by: merges)
    /// The first symbol whose token is not in `ids` yet.
    var start = 0
    while true {
      let end = workspace.window.range.upperBound
      if unread.isEmpty, end == workspace.symbols.count {
        workspace.window.appendTokens(from: start, to: end, into: &ids)
        return true
      }
      // The last tokens of a window are often not those of the word.
      var next = workspace.window.lastBoundary(upTo: end - max(1, size / 8))
      guard next > start else { return false }
      if !unread.isEmpty, workspace.symbols.count < next + size {
        workspace.symbols.removeFirst(start)
        workspace.window.shift(by: start)
        next -= start
        start = 0
        read(text, &unread, until: next + size, into: &workspace.symbols)
      }
      workspace.windowBehind.merge(
        workspace.symbols, in: next..<min(next + size, workspace.symbols.count), by: merges)
      let left = workspace.window.lastBoundary(upTo: next - 1)
      let right = workspace.windowBehind.endOfToken(at: next)
      workspace.border.merge(workspace.symbols, in: left..<right, by: merges)
      guard workspace.border.isBoundary(next) else { return false }
      workspace.window.appendTokens(from: start, to: next, into: &ids)
      start = next
      swap(&workspace.window, &workspace.windowBehind)
    }
  }

  /// Appends symbols of `text[unread]` until there are `count` or the word ends.
  private func read(
    _ text: [UInt8], _ unread: inout Range<Int>, until count: Int, into symbols: inout [Int32]
  ) {
    while symbols.count < count, !unread.isEmpty {
      var end = min(unread.lowerBound + 4 * Self.windowSize, unread.upperBound)
      while end < unread.upperBound, text[end] & 0xC0 == 0x80 { end += 1 }
      alphabet.appendSymbols(
        of: text, in: unread.lowerBound..<end, vocabulary: vocabulary, to: &symbols)
      unread = end..<unread.upperBound
    }
  }
}
