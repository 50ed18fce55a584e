/// The pieces of a tokenizer by id and by their bytes.
///
/// Pieces are compared byte by byte: vocabularies hold pieces that are canonically equal as `String`.
struct Vocabulary: Sendable {
  /// Ids must be below this, so that two of them and a rank fit into machine words.
  static let idLimit = 1 << 24
  /// How many ids may be without a piece.
  static let holeLimit = 1 << 16

  /// The bytes of all pieces, one after the other in the order of insertion.
  private var bytes: [UInt8] = []
  /// Per id: the start of the piece in `bytes` and its length, or -1 for an id without a piece.
  private var starts: [Int32] = []
  private var counts: [Int32] = []
  /// An open hash table of id + 1; 0 is an empty slot.
  ///
  /// The count is a power of two.
  private var slots: [Int32]

  /// The number of pieces.
  private(set) var count = 0

  /// An empty vocabulary with room for `capacity` pieces.
  init(capacity: Int) {
    // At most half full: short probe sequences also for pieces that are not there.
    var slotCount = 16
    while slotCount < 2 * capacity { slotCount *= 2 }
    slots = [Int32](repeating: 0, count: slotCount)
    starts.reserveCapacity(capacity)
    counts.reserveCapacity(capacity)
  }

  /// The highest id plus one.
  var idCount: Int { starts.count }

  // MARK: - Reading

  /// The bytes of the piece with the given id, or nil for an id without a piece.
  func piece(_ id: Int) -> ArraySlice<UInt8>? {
    guard starts.indices.contains(id), starts[id] >= 0 else { return nil }
    return bytes[Int(starts[id])..<Int(starts[id] + counts[id])]
  }

  /// Appends the piece with the given id to `key` and returns `hash` continued over its bytes.
  func appendPiece(_ id: Int32, to key: inout [UInt8], hash: PieceHash) -> PieceHash {
    var hash = hash
    let start = Int(starts[Int(id)])
    for index in start..<start + Int(counts[Int(id)]) {
      key.append(bytes[index])
      hash.append(bytes[index])
    }
    return hash
  }

  /// The id of the piece with exactly the bytes `text[range]`.
  func id(of text: [UInt8], in range: Range<Int>) -> Int32? {
    var hash = PieceHash()
    for index in range { hash.append(text[index]) }
    return id(of: text, in: range, hash: hash)
  }

  /// The id of the piece with exactly the bytes `text[range]`, of which `hash` is the hash.
  func id(of text: [UInt8], in range: Range<Int>, hash: PieceHash) -> Int32? {
    let mask = slots.count - 1
    var slot = hash.value & mask
    while slots[slot] != 0 {
      let id = Int(slots[slot]) - 1
      if isPiece(id, equalTo: text, in: range) { return Int32(id) }
      slot = (slot + 1) & mask
    }
    return nil
  }

  /// The id of the piece with exactly the bytes `piece`.
  func id(of piece: [UInt8]) -> Int32? { id(of: piece, in: piece.indices) }

  private func isPiece(_ id: Int, equalTo text: [UInt8], in range: Range<Int>) -> Bool {
    guard Int(counts[id]) == range.count else { return false }
    let start = Int(starts[id])
    for offset in 0..<range.count where bytes[start + offset] != text[range.lowerBound + offset] {
      return false
    }
    return true
  }

  // MARK: - Building

  /// What is wrong with a piece that was to be inserted.
  enum InsertionProblem: Error {
    case idOutOfRange
    case idTaken(by: Int)
    case pieceTaken
  }

  /// Adds a piece.
  ///
  /// - Complexity: O(length) expected, amortised. The hash is seeded at random for each process, so a
  ///   file cannot be written to collide.
  mutating func insert(_ piece: [UInt8], id: Int) throws(InsertionProblem) {
    // The bytes of all pieces are addressed with 32 bits; no file that is accepted comes near.
    guard id >= 0, id < Self.idLimit, bytes.count <= Int(Int32.max) - piece.count else {
      throw .idOutOfRange
    }
    if starts.indices.contains(id), starts[id] >= 0 { throw .idTaken(by: id) }
    guard self.id(of: piece) == nil else { throw .pieceTaken }
    if 2 * (count + 1) > slots.count { grow() }
    while starts.count <= id {
      starts.append(-1)
      counts.append(0)
    }
    starts[id] = Int32(bytes.count)
    counts[id] = Int32(piece.count)
    bytes.append(contentsOf: piece)
    count += 1
    place(id)
  }

  private mutating func place(_ id: Int) {
    let start = Int(starts[id])
    var hash = PieceHash()
    for index in start..<start + Int(counts[id]) { hash.append(bytes[index]) }
    let mask = slots.count - 1
    var slot = hash.value & mask
    while slots[slot] != 0 { slot = (slot + 1) & mask }
    slots[slot] = Int32(id) + 1
  }

  /// Takes pieces out of the search by bytes; they can still be read by id.
  ///
  /// For tokens that text must not turn into by itself. To be called after the last insertion.
  mutating func hide(_ ids: Set<Int>) {
    slots = [Int32](repeating: 0, count: slots.count)
    for id in starts.indices where starts[id] >= 0 && !ids.contains(id) { place(id) }
  }

  private mutating func grow() {
    slots = [Int32](repeating: 0, count: 2 * slots.count)
    for id in starts.indices where starts[id] >= 0 { place(id) }
  }
}

/// A hash over bytes that can be continued byte by byte, different in every process.
struct PieceHash {
  private static let seed = UInt64.random(in: .min ... .max)
  // An odd number with evenly spread bits: 2^64 divided by the golden ratio.
  private static let factor: UInt64 = 0x9E37_79B9_7F4A_7C15

  private var state = seed

  /// Takes one more byte into account.
  mutating func append(_ byte: UInt8) {
    let product = (state ^ UInt64(byte)).multipliedFullWidth(by: Self.factor)
    state = product.high ^ product.low
  }

  /// The hash, not negative.
  var value: Int { Int(truncatingIfNeeded: (state ^ state >> 32) >> 1) }

  /// A hash of two ids.
  static func ofPair(_ key: UInt64) -> Int {
    let product = (key ^ seed).multipliedFullWidth(by: factor)
    return Int(truncatingIfNeeded: (product.high ^ product.low) >> 1)
  }
}
