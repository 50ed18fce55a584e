/// Byte-pair encoding: the model that turns a word into ids.
///
/// The word is split into symbols; then, again and again, the neighbouring pair with the lowest rank
/// becomes one piece, the leftmost pair among equals, until no pair has a merge. SentencePiece models
/// encode a whole text as one word, so words of many megabytes are ordinary.
///
/// Source: Sennrich et al., arXiv:1508.07909; the order of merges as in Hugging Face tokenizers.
struct BytePairEncoding: Sendable {
  let vocabulary: Vocabulary
  let merges: MergeTable
  let alphabet: SymbolAlphabet
  /// Whether a word that is a piece becomes that piece, even if no merges lead to it.
  let ignoresMerges: Bool

  /// The number of bytes of the longest piece.
  private let longestPiece: Int
  /// Whether some text has no symbol and is left out.
  private let dropsText: Bool

  /// The number of symbols in a window: its tokens and queue, 44 bytes a symbol, stay in the caches.
  static let windowSize = 1024
  /// Up to this many symbols, looking at all pairs is faster than keeping a queue.
  private static let shortWordLimit = 24

  init(
    vocabulary: Vocabulary, merges: MergeTable, alphabet: SymbolAlphabet, ignoresMerges: Bool
  ) {
    self.vocabulary = vocabulary
    self.merges = merges
    self.alphabet = alphabet
    self.ignoresMerges = ignoresMerges
    dropsText = !alphabet.isComplete
    longestPiece = (0..<vocabulary.idCount).reduce(0) {
      max($0, vocabulary.piece($1)?.count ?? 0)
    }
  }

  /// Appends the ids of the word `text[range]` to `ids`.
  ///
  /// - Parameters:
  ///   - text: Valid UTF-8.
  ///   - range: The word.
  ///   - workspace: Memory that is reused from word to word.
  ///   - ids: The array to which the ids are appended.
  /// - Complexity: O(n log w) for n symbols, where w is the window size, at most n.
  func encode(
    _ text: [UInt8], in range: Range<Int>, workspace: inout Workspace, into ids: inout [Int]
  ) {
    if ignoresMerges, let id = wholePiece(text, in: range, key: &workspace.key) {
      ids.append(Int(id))
      return
    }
    if dropsText {
      workspace.droppedByteCount += alphabet.droppedByteCount(
        of: text, in: range, vocabulary: vocabulary)
    }
    guard range.count <= Self.windowSize else {
      mergeLongWord(text, in: range, windowSize: Self.windowSize, &workspace, into: &ids)
      return
    }
    workspace.symbols.removeAll(keepingCapacity: true)
    workspace.symbols.reserveCapacity(range.count)
    alphabet.appendSymbols(
      of: text, in: range, vocabulary: vocabulary, to: &workspace.symbols)
    if workspace.symbols.count <= Self.shortWordLimit {
      mergeShortWord(&workspace)
      for id in workspace.symbols { ids.append(Int(id)) }
    } else {
      workspace.window.merge(workspace.symbols, in: workspace.symbols.indices, by: merges)
      workspace.window.appendTokens(
        from: 0, to: workspace.symbols.count, into: &ids)
    }
  }

  /// The id of the piece that is equal to the whole word.
  private func wholePiece(_ text: [UInt8], in range: Range<Int>, key: inout [UInt8]) -> Int32? {
    // Each byte of the word takes at least one byte of a piece.
    if range.count > longestPiece { return nil }
    guard alphabet.unit == .byte else { return vocabulary.id(of: text, in: range) }
    key.removeAll(keepingCapacity: true)
    for index in range { ByteLevelAlphabet.append(text[index], to: &key) }
    return vocabulary.id(of: key)
  }

  /// Merges all of `workspace.symbols` in place, looking at all pairs each time.
  private func mergeShortWord(_ workspace: inout Workspace) {
    var symbols: [Int32] = []
    swap(&symbols, &workspace.symbols)
    defer { swap(&symbols, &workspace.symbols) }
    guard symbols.count > 1 else { return }
    var pairs: [MergeTable.Merge] = []
    swap(&pairs, &workspace.pairs)
    defer { swap(&pairs, &workspace.pairs) }
    pairs.removeAll(keepingCapacity: true)
    for index in 1..<symbols.count {
      pairs.append(merges.merge(symbols[index - 1], symbols[index]))
    }
    while true {
      var best = MergeTable.Merge.none
      var position = 0
      for index in pairs.indices where pairs[index].rank < best.rank {
        best = pairs[index]
        position = index
      }
      if best == .none { return }
      symbols[position] = best.id
      symbols.remove(at: position + 1)
      pairs.remove(at: position)
      if position > 0 {
        pairs[position - 1] = merges.merge(symbols[position - 1], best.id)
      }
      if position < pairs.count {
        pairs[position] = merges.merge(best.id, symbols[position + 1])
      }
    }
  }
}

extension BytePairEncoding {
  /// The memory that encoding needs, kept from word to word.
  struct Workspace: ~Copyable {
    /// The symbols of the word, or the part of a long one that is being merged.
    var symbols: [Int32] = []
    /// A piece being spelled.
    var key: [UInt8] = []
    /// The merges of neighbouring symbols in a short word.
    var pairs: [MergeTable.Merge] = []
    /// The tokens of a word, or of one window of a long one.
    var window = MergeWindow()
    /// The tokens of the next window.
    var windowBehind = MergeWindow()
    /// The number of bytes that had no symbol.
    var droppedByteCount = 0
    /// The result of merging the two tokens at the border of two windows.
    var border = MergeWindow()
  }
}
