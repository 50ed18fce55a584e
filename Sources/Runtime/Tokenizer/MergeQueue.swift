/// Positions waiting to be merged, lowest rank first and leftmost first among equal ranks.
///
/// A binary heap. Entries are never removed when they become stale; whoever takes one checks it.
struct MergeQueue {
  /// Rank in the upper 32 bits, position in the lower: the order of the numbers is the order wanted.
  private var entries: [UInt64] = []

  /// Makes the queue empty, keeping its memory.
  mutating func removeAll() { entries.removeAll(keepingCapacity: true) }

  /// Adds an entry without establishing the order; `heapify` must follow.
  mutating func appendUnordered(rank: UInt32, position: Int) {
    entries.append(Self.entry(rank, position))
  }

  /// Establishes the order of all entries.
  ///
  /// - Complexity: O(count).
  mutating func heapify() {
    for index in stride(from: entries.count / 2 - 1, through: 0, by: -1) {
      siftDown(entries[index], from: index)
    }
  }

  /// Adds an entry.
  mutating func push(rank: UInt32, position: Int) {
    let entry = Self.entry(rank, position)
    var index = entries.count
    entries.append(entry)
    while index > 0 {
      let parent = (index - 1) / 2
      if entries[parent] <= entry { break }
      entries[index] = entries[parent]
      index = parent
    }
    entries[index] = entry
  }

  /// Removes and returns the first entry.
  mutating func pop() -> (rank: UInt32, position: Int)? {
    guard let first = entries.first, let last = entries.popLast() else { return nil }
    if !entries.isEmpty { siftDown(last, from: 0) }
    return (UInt32(truncatingIfNeeded: first >> 32), Int(first & 0xFFFF_FFFF))
  }

  /// Puts `entry` at `index` or as far below as the order demands.
  private mutating func siftDown(_ entry: UInt64, from index: Int) {
    var index = index
    let count = entries.count
    while true {
      var child = 2 * index + 1
      if child >= count { break }
      if child + 1 < count, entries[child + 1] < entries[child] { child += 1 }
      if entries[child] >= entry { break }
      entries[index] = entries[child]
      index = child
    }
    entries[index] = entry
  }

  private static func entry(_ rank: UInt32, _ position: Int) -> UInt64 {
    UInt64(rank) << 32 | UInt64(UInt32(truncatingIfNeeded: position))
  }
}
