internal import DuetSystem

/// A queue of positions to be merged, lowest rank first and leftmost first among equal ranks.
///
/// A binary heap. Entries that become stale are not removed; the caller checks each entry it takes.
struct MergeQueue: ~Copyable {
  /// Rank in the upper 32 bits, position in the lower, so that the numbers have the wanted order.
  private var entries: Buffer<UInt64>
  private var count = 0

  /// An empty queue with room for `capacity` entries.
  init(capacity: Int) { entries = Buffer(count: capacity) }

  /// Makes the queue empty.
  mutating func removeAll() { count = 0 }

  /// Adds an entry without establishing the order; `heapify` must follow.
  ///
  /// - Precondition: there is room.
  mutating func appendUnordered(rank: UInt32, position: Int) {
    entries[count] = Self.entry(rank, position)
    count += 1
  }

  /// Establishes the order of all entries.
  ///
  /// - Complexity: O(count).
  mutating func heapify() {
    for index in stride(from: count / 2 - 1, through: 0, by: -1) {
      let entry = entries[index]
      siftUp(entry, from: sinkHole(from: index), to: index)
    }
  }

  /// Adds an entry.
  ///
  /// - Precondition: there is room.
  mutating func push(rank: UInt32, position: Int) {
    count += 1
    siftUp(Self.entry(rank, position), from: count - 1, to: 0)
  }

  /// Removes and returns the first entry.
  mutating func pop() -> (rank: UInt32, position: Int)? {
    guard count > 0 else { return nil }
    let first = entries[0]
    count -= 1
    if count > 0 {
      let last = entries[count]
      siftUp(last, from: sinkHole(from: 0), to: 0)
    }
    return (UInt32(truncatingIfNeeded: first >> 32), Int(first & 0xFFFF_FFFF))
  }

  /// Moves smaller children up from `index` on and returns the leaf that becomes free.
  ///
  /// An entry from the end nearly always belongs far down, so it is not compared on the way. That
  /// leaves only a choice between two children, which needs no branch.
  private mutating func sinkHole(from index: Int) -> Int {
    var hole = index
    while 2 * hole + 2 < count {
      let left = entries[2 * hole + 1]
      let right = entries[2 * hole + 2]
      let isRight = right < left
      entries[hole] = isRight ? right : left
      hole = 2 * hole + (isRight ? 2 : 1)
    }
    if 2 * hole + 1 < count {
      entries[hole] = entries[2 * hole + 1]
      hole = 2 * hole + 1
    }
    return hole
  }

  /// Puts `entry` at `index` or as far above as the order requires, at most at `top`.
  private mutating func siftUp(_ entry: UInt64, from index: Int, to top: Int) {
    var index = index
    while index > top {
      let parent = (index - 1) / 2
      if entries[parent] <= entry { break }
      entries[index] = entries[parent]
      index = parent
    }
    entries[index] = entry
  }

  private static func entry(_ rank: UInt32, _ position: Int) -> UInt64 {
    UInt64(rank) << 32 | UInt64(UInt32(truncatingIfNeeded: position))
  }
}
