/// The merges of a byte-pair vocabulary: which pairs of pieces become one, and which comes first.
struct MergeTable: Sendable {
  /// The result of merging a pair of pieces.
  struct Merge: Sendable, Equatable {
    /// The order: the merge with the lowest rank is done first.
    let rank: UInt32
    /// The id of the merged piece.
    let id: Int32

    /// The value for a pair that cannot be merged.
    static let none = Merge(rank: .max, id: -1)
  }

  /// A pair and its merge.
  private struct Entry {
    /// The left id in the upper half, the right id in the lower.
    var pair: UInt64
    var merge: Merge
  }

  /// The entries of an open hash table; the count is a power of two.
  private var entries: [Entry]
  /// Per entry: 0 when it is empty, else seven bits of its hash and the highest bit.
  ///
  /// Most pairs that are looked up have no merge. This array is small enough to stay in the caches
  /// and is read first.
  private var tags: [UInt8]

  /// The seed of the hashes.
  private let seed = PieceHash.randomSeed

  /// The number of merges.
  private(set) var count = 0

  /// An empty table with room for `capacity` merges.
  init(capacity: Int) {
    var slotCount = 16
    while Self.entryLimit(slotCount) < capacity { slotCount *= 2 }
    entries = [Entry](repeating: Entry(pair: 0, merge: .none), count: slotCount)
    tags = [UInt8](repeating: 0, count: slotCount)
  }

  /// How many of `slotCount` entries may be used: three quarters keep the probe sequences short.
  private static func entryLimit(_ slotCount: Int) -> Int { slotCount / 4 * 3 }

  /// The merge of a pair; `Merge.none` when it cannot be merged.
  @inline(__always)
  func merge(_ left: Int32, _ right: Int32) -> Merge {
    let pair = Self.pair(left, right)
    let hash = PieceHash.ofPair(pair, seed: seed)
    let tag = Self.tag(hash)
    let mask = tags.count - 1
    var slot = hash & mask
    while tags[slot] != 0 {
      if tags[slot] == tag, entries[slot].pair == pair { return entries[slot].merge }
      slot = (slot + 1) & mask
    }
    return .none
  }

  /// Adds a merge.
  ///
  /// - Returns: Whether the pair was new; a known pair is left as it was.
  mutating func insert(_ left: Int32, _ right: Int32, _ merge: Merge) -> Bool {
    if count == Self.entryLimit(tags.count) { grow() }
    guard self.merge(left, right) == .none else { return false }
    place(Entry(pair: Self.pair(left, right), merge: merge))
    count += 1
    return true
  }

  private mutating func place(_ entry: Entry) {
    let hash = PieceHash.ofPair(entry.pair, seed: seed)
    let mask = tags.count - 1
    var slot = hash & mask
    while tags[slot] != 0 { slot = (slot + 1) & mask }
    tags[slot] = Self.tag(hash)
    entries[slot] = entry
  }

  private mutating func grow() {
    let old = zip(entries, tags).filter { $0.1 != 0 }
    tags = [UInt8](repeating: 0, count: 2 * tags.count)
    entries = [Entry](repeating: Entry(pair: 0, merge: .none), count: tags.count)
    for (entry, _) in old { place(entry) }
  }

  private static func tag(_ hash: Int) -> UInt8 { 0x80 | UInt8(truncatingIfNeeded: hash >> 56) }

  private static func pair(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }
}
