extension BytePairEncoding {
  /// The tokens of one window of a long word, as a linked list over the positions of its symbols.
  ///
  /// A token stands at the position of its first symbol. `ranks` and `merged` belong to the pair of a
  /// token and its successor; positions inside a token have the rank `max`.
  struct Window {
    var ids: [Int32] = []
    var previous: [Int32] = []
    var next: [Int32] = []
    var ranks: [UInt32] = []
    var merged: [Int32] = []
    var queue = MergeQueue()

    /// Makes every symbol a token of its own.
    mutating func reset(to symbols: ArraySlice<Int32>) {
      let count = symbols.count
      ids.removeAll(keepingCapacity: true)
      ids.append(contentsOf: symbols)
      while previous.count < count {
        previous.append(0)
        next.append(0)
        ranks.append(0)
        merged.append(0)
      }
      for index in 0..<count {
        previous[index] = Int32(index) - 1
        next[index] = Int32(index) + 1
        ranks[index] = .max
      }
      queue.removeAll()
    }
  }

  /// Merges all of `workspace.symbols` and appends the tokens to `ids`.
  ///
  /// Works through windows so that the tables stay in the caches whatever the length of the word: the
  /// time is proportional to the length. Each window ends at a boundary that provably no merge of the
  /// whole word crosses, so the result is exactly that of merging the word at once.
  func mergeLongWord(_ workspace: inout Workspace, windowSize: Int, into ids: inout [Int]) {
    let count = workspace.symbols.count
    var start = 0
    var size = windowSize
    while start < count {
      // A window beyond 2^30 symbols could not be addressed in 32 bits: there alone, and only if not
      // one boundary was found before, the word is cut without proof.
      let isOpen = usesWindows && count - start > size + size / 2 && size < 1 << 30
      let end = isOpen ? start + size : min(count, start + 1 << 30)
      let boundary = mergeWindow(&workspace, from: start, to: end, isOpen: isOpen, into: &ids)
      // Where boundaries are rare, larger windows keep the repeated work below the useful work.
      if isOpen, boundary - start < size / 2 {
        size *= 2
      } else if size > windowSize {
        size /= 2
      }
      start = boundary
    }
  }

  /// Merges the symbols from `start` to `end` and appends the tokens that are certain.
  ///
  /// The symbols behind the window are one token of unknown extent. It may merge with its neighbour
  /// whenever some token that starts there could: then the neighbour becomes part of the unknown.
  /// What is known is therefore at every moment what it would be in the whole word, and at the end
  /// nothing crosses the boundary in front of the unknown.
  ///
  /// - Returns: The boundary: the position of the first symbol whose token is not certain.
  private func mergeWindow(
    _ workspace: inout Workspace, from start: Int, to end: Int, isOpen: Bool, into ids: inout [Int]
  ) -> Int {
    var window = Window()
    swap(&window, &workspace.window)
    defer { swap(&window, &workspace.window) }
    window.reset(to: workspace.symbols[start..<end])
    /// The position of the unknown token, or the end.
    var unknown = end - start

    func update(_ position: Int) -> UInt32 {
      let next = Int(window.next[position])
      if next == unknown {
        window.ranks[position] =
          isOpen
          ? lowestRank(
            of: window.ids[position], followedBy: start + next, symbols: workspace.symbols,
            key: &workspace.key) : .max
      } else {
        let merge = merges.merge(window.ids[position], window.ids[next])
        window.ranks[position] = merge.rank
        window.merged[position] = merge.id
      }
      return window.ranks[position]
    }

    func enqueue(_ position: Int) {
      let rank = update(position)
      if rank != .max { window.queue.push(rank: rank, position: position) }
    }

    for position in 0..<unknown {
      let rank = update(position)
      if rank != .max { window.queue.appendUnordered(rank: rank, position: position) }
    }
    window.queue.heapify()
    while let (rank, position) = window.queue.pop() {
      // A pair that has changed since has another rank, or the same one by right.
      guard window.ranks[position] == rank else { continue }
      let right = Int(window.next[position])
      let previous = Int(window.previous[position])
      if right == unknown {
        window.ranks[position] = .max
        unknown = position
      } else {
        window.ids[position] = window.merged[position]
        window.ranks[right] = .max
        let next = Int(window.next[right])
        window.next[position] = Int32(next)
        if next < unknown { window.previous[next] = Int32(position) }
        enqueue(position)
      }
      if previous >= 0 { enqueue(previous) }
    }
    var position = 0
    while position < unknown {
      ids.append(Int(window.ids[position]))
      position = Int(window.next[position])
    }
    return start + unknown
  }

  /// The lowest rank at which `left` could merge with a token that starts at `position`, or `max`.
  ///
  /// Whatever happens behind `position`, a token that starts there and ends k symbols later is the
  /// piece that those k symbols spell, because every symbol and every merge spells its text (symbols
  /// that do not are no part of any merge). So it is enough to look at the pieces that the text from
  /// `position` on begins with.
  ///
  /// - Complexity: O(`longestRightPart`).
  private func lowestRank(
    of left: Int32, followedBy position: Int, symbols: [Int32], key: inout [UInt8]
  ) -> UInt32 {
    guard merges.isLeftPart(left) else { return .max }
    var lowest = UInt32.max
    var hash = PieceHash()
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
