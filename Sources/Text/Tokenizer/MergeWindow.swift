internal import DuetSystem

/// The tokens of a range of symbols, while they are being merged and after that.
///
/// A linked list over the positions of the symbols: a token is stored at the position of its first
/// symbol.
struct MergeWindow: ~Copyable {
  /// A token, or a position where none starts.
  ///
  /// Not private: in a debug build the compiler (6.3.1) may fail on a private type that is stored
  /// in a type of another file.
  struct Token: BitwiseCopyable {
    /// -1 at positions where no token starts any more.
    var id: Int32
    /// The position of the previous token, or -1.
    var previous: Int32
    /// The position of the next token, or the number of symbols.
    var next: Int32
    /// The rank of the merge with the next token, `max` when there is none; also `max` at positions
    /// where no token starts any more.
    var rank: UInt32
    /// The id that the merge with the next token gives.
    var merged: Int32
  }

  private var tokens = Buffer<Token>(count: 0)
  private var queue = MergeQueue(capacity: 0)
  /// The index of the window's first symbol in the word.
  private var start = 0
  private var count = 0

  /// An empty window.
  init() {}

  /// The indices of the window's symbols in the word.
  var range: Range<Int> { start..<start + count }

  // MARK: - Merging

  /// Merges the symbols of a range as if they were the whole word.
  ///
  /// The lowest rank comes first, the leftmost among equals.
  ///
  /// - Complexity: O(n log n) for n symbols.
  mutating func merge(_ symbols: [Int32], in range: Range<Int>, by merges: MergeTable) {
    start = range.lowerBound
    count = range.count
    if tokens.count < count {
      tokens = Buffer(count: count)
      // One entry for each pair at first. Each merge adds at most two and leaves one token less.
      queue = MergeQueue(capacity: 3 * count)
    }
    for position in 0..<count {
      tokens[position] = Token(
        id: symbols[start + position], previous: Int32(position) - 1, next: Int32(position) + 1,
        rank: .max, merged: -1)
    }
    queue.removeAll()
    for position in 0..<count {
      let rank = update(position, merges)
      if rank != .max { queue.appendUnordered(rank: rank, position: position) }
    }
    queue.heapify()
    while let (rank, position) = queue.pop() {
      // An entry with another rank than the token is stale. If the rank is equal, the token's
      // present pair is to be merged, even if the entry was made for an earlier pair.
      var token = tokens[position]
      guard token.rank == rank else { continue }
      let right = Int(token.next)
      token.id = token.merged
      token.next = tokens[right].next
      tokens[position] = token
      tokens[right].id = -1
      tokens[right].rank = .max
      if Int(token.next) < count { tokens[Int(token.next)].previous = Int32(position) }
      enqueue(position, merges)
      if token.previous >= 0 { enqueue(Int(token.previous), merges) }
    }
  }

  private mutating func enqueue(_ position: Int, _ merges: MergeTable) {
    let rank = update(position, merges)
    if rank != .max { queue.push(rank: rank, position: position) }
  }

  /// Finds the merge of the token at `position` with the next one, and returns its rank.
  private mutating func update(_ position: Int, _ merges: MergeTable) -> UInt32 {
    let token = tokens[position]
    let next = Int(token.next)
    let merge = next < count ? merges.merge(token.id, tokens[next].id) : .none
    tokens[position].rank = merge.rank
    tokens[position].merged = merge.id
    return merge.rank
  }

  // MARK: - Tokens

  /// Whether a token starts or ends before `symbols[index]`, for an index in the window or at its
  /// end.
  func isBoundary(_ index: Int) -> Bool {
    index == start + count || tokens[index - start].id >= 0
  }

  /// The last boundary at or before `index`, which is in the window or at its end.
  func lastBoundary(upTo index: Int) -> Int {
    var index = index
    // A token starts at the window's first symbol.
    while !isBoundary(index) { index -= 1 }
    return index
  }

  /// The end of the token that starts at `index`.
  func endOfToken(at index: Int) -> Int { start + Int(tokens[index - start].next) }

  /// Appends the tokens between two boundaries to `ids`.
  func appendTokens(from first: Int, to end: Int, into ids: inout [Int]) {
    var position = first - start
    while position < end - start {
      ids.append(Int(tokens[position].id))
      position = Int(tokens[position].next)
    }
  }

  /// Adjusts the window's indices after `removed` symbols at the beginning have been removed.
  mutating func shift(by removed: Int) { start -= removed }
}
