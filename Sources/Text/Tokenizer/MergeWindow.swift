internal import DuetSystem

/// The tokens of some neighbouring symbols while they are being merged, and after.
///
/// A linked list over the positions of the symbols: a token stands at the position of its first one.
struct MergeWindow: ~Copyable {
  /// A token, or a position where none starts.
  ///
  /// Not private: in a debug build the compiler (6.3.1) may fail on a private type in the storage of
  /// another file's.
  struct Token: BitwiseCopyable {
    /// -1 at positions where no token starts any more.
    var id: Int32
    /// The position of the token in front, or -1.
    var previous: Int32
    /// The position of the token behind, or the number of symbols.
    var next: Int32
    /// The rank of the merge with the token behind, `max` when there is none; also `max` at positions
    /// where no token starts any more.
    var rank: UInt32
    /// The id that the merge with the token behind makes.
    var merged: Int32
  }

  private var tokens = Buffer<Token>(count: 0)
  private var queue = MergeQueue(capacity: 0)
  /// The index of the window's first symbol among those of the word.
  private var start = 0
  private var count = 0

  /// An empty window.
  init() {}

  /// The window's symbols, as indices of those of the word.
  var range: Range<Int> { start..<start + count }

  // MARK: - Merging

  /// Merges the symbols of a range as if no others were beside them.
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
      // A pair that has changed since has another rank, or the same one by right.
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

  /// Finds the merge of the token at `position` with the one behind it, and returns its rank.
  private mutating func update(_ position: Int, _ merges: MergeTable) -> UInt32 {
    let token = tokens[position]
    let next = Int(token.next)
    let merge = next < count ? merges.merge(token.id, tokens[next].id) : .none
    tokens[position].rank = merge.rank
    tokens[position].merged = merge.id
    return merge.rank
  }

  // MARK: - Tokens

  /// Whether a token starts or ends at a place in front of `symbols[index]`, in the window or at its end.
  func isBoundary(_ index: Int) -> Bool {
    index == start + count || tokens[index - start].id >= 0
  }

  /// The last boundary at or in front of `index`, which is within the window or at its end.
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

  /// Takes note that `removed` symbols at the beginning of the word are gone.
  mutating func shift(by removed: Int) { start -= removed }
}
