/// The merges of a byte-pair vocabulary: which pairs of pieces become one, and which comes first.
struct MergeTable: Sendable {
  /// What a pair of pieces becomes.
  struct Merge: Sendable, Equatable {
    /// The order: the merge with the lowest rank is done first.
    let rank: UInt32
    /// The id of the piece that is left and right together.
    let id: Int32

    /// Stands for a pair that cannot be merged.
    static let none = Merge(rank: .max, id: -1)
  }

  /// An open hash table of pairs of words: (left id + 1, right id), then (rank, id).
  ///
  /// A zero key is an empty slot. The number of slots is a power of two.
  private var words: [UInt64]
  /// Per id: whether it is the left part of a merge.
  private var leftParts: [Bool]
  /// Per id: whether it is the right part of a merge.
  private var rightParts: [Bool]

  /// The number of merges.
  private(set) var count = 0

  /// An empty table with room for `capacity` merges of ids below `idCount`.
  init(capacity: Int, idCount: Int) {
    var slotCount = 16
    while slotCount < 2 * capacity { slotCount *= 2 }
    words = [UInt64](repeating: 0, count: 2 * slotCount)
    leftParts = [Bool](repeating: false, count: idCount)
    rightParts = leftParts
  }

  /// The ids of all merges are below this.
  var idCount: Int { leftParts.count }

  /// Whether `id` is the left part of a merge.
  func isLeftPart(_ id: Int32) -> Bool { leftParts.indices.contains(Int(id)) && leftParts[Int(id)] }

  /// Whether `id` is the right part of a merge.
  func isRightPart(_ id: Int32) -> Bool {
    rightParts.indices.contains(Int(id)) && rightParts[Int(id)]
  }

  /// What the pair becomes; `Merge.none` when it cannot be merged.
  @inline(__always)
  func merge(_ left: Int32, _ right: Int32) -> Merge {
    let key = Self.key(left, right)
    let mask = words.count / 2 - 1
    var slot = PieceHash.ofPair(key) & mask
    while true {
      let found = words[2 * slot]
      if found == key {
        let value = words[2 * slot + 1]
        return Merge(
          rank: UInt32(truncatingIfNeeded: value >> 32), id: Int32(truncatingIfNeeded: value))
      }
      if found == 0 { return .none }
      slot = (slot + 1) & mask
    }
  }

  /// Adds a merge.
  ///
  /// - Precondition: the three ids are below the table's `idCount`.
  /// - Returns: Whether the pair was new; a known pair is left as it was.
  mutating func insert(_ left: Int32, _ right: Int32, _ merge: Merge) -> Bool {
    if 4 * (count + 1) > words.count { grow() }
    let slot = freeSlot(for: Self.key(left, right))
    guard words[2 * slot] == 0 else { return false }
    words[2 * slot] = Self.key(left, right)
    words[2 * slot + 1] = UInt64(merge.rank) << 32 | UInt64(UInt32(bitPattern: merge.id))
    leftParts[Int(left)] = true
    rightParts[Int(right)] = true
    count += 1
    return true
  }

  /// The slot that holds `key` or would take it.
  private func freeSlot(for key: UInt64) -> Int {
    let mask = words.count / 2 - 1
    var slot = PieceHash.ofPair(key) & mask
    while words[2 * slot] != 0, words[2 * slot] != key { slot = (slot + 1) & mask }
    return slot
  }

  private mutating func grow() {
    let old = words
    words = [UInt64](repeating: 0, count: 2 * old.count)
    for index in stride(from: 0, to: old.count, by: 2) where old[index] != 0 {
      let slot = freeSlot(for: old[index])
      words[2 * slot] = old[index]
      words[2 * slot + 1] = old[index + 1]
    }
  }

  private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
    (UInt64(UInt32(bitPattern: left)) + 1) << 32 | UInt64(UInt32(bitPattern: right))
  }
}
