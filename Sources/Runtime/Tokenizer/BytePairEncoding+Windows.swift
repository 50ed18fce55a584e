/// The tokens of one window of a long word while they are being merged.
///
/// A linked list over the positions of the symbols: a token stands at the position of its first one.
struct MergeWindow: ~Copyable {
  private struct Token: BitwiseCopyable {
    var id: Int32
    /// The position of the token in front, or -1.
    var previous: Int32
    /// The position of the token behind, or that of the unknown, or the end.
    var next: Int32
    /// The rank of the merge with the token behind, `max` when there is none; also `max` at positions
    /// where no token starts any more.
    var rank: UInt32
    /// The id that the merge with the token behind makes.
    var merged: Int32
  }

  private var tokens: Buffer<Token>
  private var queue: MergeQueue
  /// A piece being spelled.
  private var key: [UInt8] = []
  /// The position of the unknown token, or the end.
  private var unknown = 0

  /// A window of up to `capacity` symbols.
  init(capacity: Int) {
    tokens = Buffer(count: capacity)
    // One entry for each symbol at first. Each merge, or token that becomes unknown, adds at most two
    // and leaves one token less.
    queue = MergeQueue(capacity: 3 * capacity)
  }

  /// The number of symbols that there is room for.
  var capacity: Int { tokens.count }

  /// Merges the symbols of a range and appends the tokens that are certain.
  ///
  /// The symbols behind an open window are one token of unknown extent. It may merge with its
  /// neighbour whenever some token that starts there could: then the neighbour becomes part of the
  /// unknown. What is known is therefore at every moment what it would be in the whole word, and at
  /// the end nothing crosses the boundary in front of the unknown.
  ///
  /// - Parameters:
  ///   - symbols: The symbols of the whole word.
  ///   - range: The window, of at most `capacity` symbols.
  ///   - isOpen: Whether the symbols behind the window count.
  ///   - encoding: The merges.
  ///   - ids: Gets the tokens.
  /// - Returns: The boundary: the index of the first symbol whose token is not certain.
  mutating func merge(
    _ symbols: [Int32], in range: Range<Int>, isOpen: Bool, by encoding: BytePairEncoding,
    into ids: inout [Int]
  ) -> Int {
    let start = range.lowerBound
    unknown = range.count
    queue.removeAll()
    for position in 0..<unknown {
      tokens[position] = Token(
        id: symbols[start + position], previous: Int32(position) - 1, next: Int32(position) + 1,
        rank: .max, merged: -1)
    }
    for position in 0..<unknown {
      let rank = update(position, start, symbols, isOpen, encoding)
      if rank != .max { queue.appendUnordered(rank: rank, position: position) }
    }
    queue.heapify()
    while let (rank, position) = queue.pop() {
      // A pair that has changed since has another rank, or the same one by right.
      var token = tokens[position]
      guard token.rank == rank else { continue }
      if Int(token.next) == unknown {
        token.rank = .max
        tokens[position] = token
        unknown = position
      } else {
        let right = Int(token.next)
        token.id = token.merged
        token.next = tokens[right].next
        tokens[position] = token
        tokens[right].rank = .max
        if Int(token.next) < unknown { tokens[Int(token.next)].previous = Int32(position) }
        enqueue(position, start, symbols, isOpen, encoding)
      }
      if token.previous >= 0 { enqueue(Int(token.previous), start, symbols, isOpen, encoding) }
    }
    var position = 0
    while position < unknown {
      ids.append(Int(tokens[position].id))
      position = Int(tokens[position].next)
    }
    return start + unknown
  }

  private mutating func enqueue(
    _ position: Int, _ start: Int, _ symbols: [Int32], _ isOpen: Bool, _ encoding: BytePairEncoding
  ) {
    let rank = update(position, start, symbols, isOpen, encoding)
    if rank != .max { queue.push(rank: rank, position: position) }
  }

  /// Finds the merge of the token at `position` with the one behind it, and returns its rank.
  private mutating func update(
    _ position: Int, _ start: Int, _ symbols: [Int32], _ isOpen: Bool, _ encoding: BytePairEncoding
  ) -> UInt32 {
    let token = tokens[position]
    let next = Int(token.next)
    var merge = MergeTable.Merge.none
    if next != unknown {
      merge = encoding.merges.merge(token.id, tokens[next].id)
    } else if isOpen {
      let rank = encoding.lowestRank(
        of: token.id, followedBy: start + next, symbols: symbols, key: &key)
      merge = MergeTable.Merge(rank: rank, id: -1)
    }
    tokens[position].rank = merge.rank
    tokens[position].merged = merge.id
    return merge.rank
  }
}

extension BytePairEncoding {
  /// Merges all of `workspace.symbols` and appends the tokens to `ids`.
  ///
  /// Works through windows so that the tables stay in the caches whatever the length of the word: the
  /// time is proportional to the length. Each window ends at a boundary that provably no merge of the
  /// whole word crosses, so the result is exactly that of merging the word at once.
  func mergeLongWord(_ workspace: inout Workspace, windowSize: Int, into ids: inout [Int]) {
    var size = windowSize
    _ = mergeWindows(&workspace, smallest: windowSize, size: &size, isWhole: true, into: &ids)
  }

  /// Merges `workspace.symbols` window by window, all of them when they end the word.
  ///
  /// - Parameters:
  ///   - workspace: The symbols, and memory.
  ///   - smallest: The number of symbols in the smallest window.
  ///   - size: The number of symbols in the next window.
  ///   - isWhole: Whether no symbols follow. If some do, half a window is left for the look ahead,
  ///     which `usesWindows` keeps within a quarter of `windowSize`.
  ///   - ids: Gets the tokens.
  /// - Returns: The number of symbols whose tokens are certain and appended.
  func mergeWindows(
    _ workspace: inout Workspace, smallest: Int, size: inout Int, isWhole: Bool,
    into ids: inout [Int]
  ) -> Int {
    let count = workspace.symbols.count
    var start = 0
    while start < count {
      // A window beyond 2^30 symbols could not be addressed in 32 bits: there alone, and only if not
      // one boundary was found before, the word is cut without proof.
      let isOpen = usesWindows && count - start > size + size / 2 && size < 1 << 30
      if !isOpen, !isWhole { break }
      let end = isOpen ? start + size : min(count, start + 1 << 30)
      if workspace.window.capacity < end - start {
        workspace.window = MergeWindow(capacity: end - start)
      }
      let boundary = workspace.window.merge(
        workspace.symbols, in: start..<end, isOpen: isOpen, by: self, into: &ids)
      // Where boundaries are rare, larger windows keep the repeated work below the useful work.
      if isOpen, boundary - start < size / 2 {
        size *= 2
      } else if size > smallest {
        size /= 2
      }
      start = boundary
    }
    return start
  }

  /// The lowest rank at which `left` could merge with a token that starts at `position`, or `max`.
  ///
  /// Whatever happens behind `position`, a token that starts there and ends k symbols later is the
  /// piece that those k symbols spell, because every symbol and every merge spells its text (symbols
  /// that do not are no part of any merge). So it is enough to look at the pieces that the text from
  /// `position` on begins with.
  ///
  /// - Complexity: O(`longestRightPart`).
  func lowestRank(
    of left: Int32, followedBy position: Int, symbols: [Int32], key: inout [UInt8]
  ) -> UInt32 {
    guard merges.isLeftPart(left) else { return .max }
    var lowest = UInt32.max
    var hash = vocabulary.emptyHash
    key.removeAll(keepingCapacity: true)
    for index in position..<min(symbols.count, position + longestRightPart) {
      hash = vocabulary.appendPiece(symbols[index], to: &key, hash: hash)
      if let right = vocabulary.id(of: key, in: key.indices, hash: hash) {
        lowest = min(lowest, merges.merge(left, right).rank)
      }
    }
    return lowest
  }
}
