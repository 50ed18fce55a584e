/// The pieces of a tokenizer by id and by their bytes.
///
/// Pieces are compared byte by byte: vocabularies hold pieces that are canonically equal as `String`.
struct Vocabulary: Sendable {
  /// Ids must be below this, so that two of them and a rank fit into machine words.
  static let idLimit = 1 << 24
  /// How many ids may be without a piece.
  static let holeLimit = 1 << 16

  /// The place of a piece in `bytes`.
  private struct Place {
    /// The start of the piece in `bytes`; -1 for an id without a piece.
    var start: Int32 = -1
    /// The length of the piece.
    var count: Int32 = 0

    var range: Range<Int> { Int(start)..<Int(start) + Int(count) }
  }

  /// The bytes of all pieces, one after the other in the order of insertion.
  private var bytes: [UInt8] = []
  /// The place of the piece of each id.
  private var places: [Place] = []
  /// An open hash table of (upper half of the hash, id + 1); 0 is an empty slot.
  ///
  /// The count is a power of two.
  private var slots: [UInt64]
  /// The seed of the hashes.
  private let seed = PieceHash.randomSeed

  /// The number of pieces.
  private(set) var count = 0

  /// An empty vocabulary with room for `capacity` pieces.
  init(capacity: Int) {
    // At most half full: short probe sequences also for pieces that are not there.
    var slotCount = 16
    while slotCount < 2 * capacity { slotCount *= 2 }
    slots = [UInt64](repeating: 0, count: slotCount)
    places.reserveCapacity(capacity)
  }

  /// The highest id plus one.
  var idCount: Int { places.count }

  // MARK: - Reading

  /// The bytes of the piece with the given id, or nil for an id without a piece.
  func piece(_ id: Int) -> ArraySlice<UInt8>? { hasPiece(id) ? bytes[places[id].range] : nil }

  /// Whether there is a piece with the given id.
  func hasPiece(_ id: Int) -> Bool { places.indices.contains(id) && places[id].start >= 0 }

  /// The hash of no bytes, to which bytes can be added.
  var emptyHash: PieceHash { PieceHash(seed: seed) }

  /// The id of the piece with exactly the bytes `text[range]`.
  func id(of text: [UInt8], in range: Range<Int>) -> Int32? {
    var hash = emptyHash
    for index in range { hash.append(text[index]) }
    return id(of: text, in: range, hash: hash)
  }

  /// The id of the piece with exactly the bytes `text[range]`, of which `hash` is the hash.
  func id(of text: [UInt8], in range: Range<Int>, hash: PieceHash) -> Int32? {
    let slot = slots[slotIndex(of: text, in: range, hash: hash)]
    return slot == 0 ? nil : Self.id(inSlot: slot)
  }

  /// The id of the piece with exactly the bytes `piece`.
  func id(of piece: [UInt8]) -> Int32? { id(of: piece, in: piece.indices) }

  /// The slot that holds the piece `text[range]`, or the empty one that would take it.
  private func slotIndex(of text: [UInt8], in range: Range<Int>, hash: PieceHash) -> Int {
    let mask = slots.count - 1
    var index = hash.index & mask
    while slots[index] != 0 {
      if slots[index] >> 32 == UInt64(hash.tag),
        isPiece(Int(Self.id(inSlot: slots[index])), equalTo: text, in: range)
      {
        break
      }
      index = (index + 1) & mask
    }
    return index
  }

  private func isPiece(_ id: Int, equalTo text: [UInt8], in range: Range<Int>) -> Bool {
    let place = places[id].range
    guard place.count == range.count else { return false }
    for offset in 0..<place.count
    where bytes[place.lowerBound + offset] != text[range.lowerBound + offset] {
      return false
    }
    return true
  }

  private static func id(inSlot slot: UInt64) -> Int32 { Int32(truncatingIfNeeded: slot) - 1 }

  private static func slot(_ id: Int, _ hash: PieceHash) -> UInt64 {
    UInt64(hash.tag) << 32 | UInt64(id + 1)
  }

  // MARK: - Building

  /// What is wrong with a piece that was to be inserted.
  enum InsertionProblem: Error {
    case idOutOfRange
    case idTaken
    case pieceTaken
  }

  /// Adds a piece.
  ///
  /// - Complexity: O(length) expected, amortised. The hash is seeded at random for each vocabulary,
  ///   so a file cannot be written to collide.
  mutating func insert(_ piece: [UInt8], id: Int) throws(InsertionProblem) {
    // The bytes of all pieces are addressed with 32 bits; no accepted file is that large.
    guard id >= 0, id < Self.idLimit, bytes.count <= Int(Int32.max) - piece.count else {
      throw .idOutOfRange
    }
    if hasPiece(id) { throw .idTaken }
    if 2 * (count + 1) > slots.count { fillSlots(count: 2 * slots.count, hiding: []) }
    var hash = emptyHash
    for byte in piece { hash.append(byte) }
    let index = slotIndex(of: piece, in: piece.indices, hash: hash)
    guard slots[index] == 0 else { throw .pieceTaken }
    slots[index] = Self.slot(id, hash)
    while places.count <= id { places.append(Place()) }
    places[id] = Place(start: Int32(bytes.count), count: Int32(piece.count))
    bytes.append(contentsOf: piece)
    count += 1
  }

  /// Removes pieces from the search by bytes; they can still be read by id.
  ///
  /// For tokens that plain text must not become. To be called after the last insertion.
  mutating func hide(_ ids: Set<Int>) { fillSlots(count: slots.count, hiding: ids) }

  private mutating func fillSlots(count: Int, hiding hidden: Set<Int>) {
    slots = [UInt64](repeating: 0, count: count)
    for id in places.indices where hasPiece(id) && !hidden.contains(id) {
      var hash = emptyHash
      for byte in bytes[places[id].range] { hash.append(byte) }
      var index = hash.index & (count - 1)
      while slots[index] != 0 { index = (index + 1) & (count - 1) }
      slots[index] = Self.slot(id, hash)
    }
  }
}

/// A hash over bytes that can be continued byte by byte.
struct PieceHash {
  // An odd number with evenly spread bits: 2^64 divided by the golden ratio.
  private static let factor: UInt64 = 0x9E37_79B9_7F4A_7C15

  private var state: UInt64

  /// A random seed, which nobody can predict.
  static var randomSeed: UInt64 { .random(in: .min ... .max) }

  /// The hash of no bytes.
  init(seed: UInt64) { state = seed }

  /// Adds one more byte.
  mutating func append(_ byte: UInt8) { state = Self.fold(state ^ UInt64(byte)) }

  /// The lower half, for a place in a table.
  var index: Int { Int(truncatingIfNeeded: state & 0xFFFF_FFFF) }

  /// The upper half, to tell hashes in the same place apart.
  var tag: UInt32 { UInt32(truncatingIfNeeded: state >> 32) }

  /// A hash of two ids, not negative.
  @inline(__always)
  static func ofPair(_ key: UInt64, seed: UInt64) -> Int {
    Int(truncatingIfNeeded: fold(key ^ seed) >> 1)
  }

  @inline(__always)
  private static func fold(_ value: UInt64) -> UInt64 {
    let product = value.multipliedFullWidth(by: factor)
    return product.high ^ product.low
  }
}
