internal import DuetSystem

/// The comparison of object keys by their decoded bytes.
enum JSONKeys {
  /// Objects with at most this many members are compared pair by pair, which needs no memory.
  private static let pairwiseLimit = 8

  /// The position of the first key of an object that equals an earlier one.
  ///
  /// - Parameters:
  ///   - bytes: The text.
  ///   - tape: The tape of the text so far.
  ///   - object: The tape index of the object, whose members are complete.
  ///   - count: The number of its members.
  /// - Returns: A position in `bytes`, or nil when all keys differ.
  /// - Complexity: O(bytes of the keys) expected. The hash is seeded at random for each process, so
  ///   a text cannot be written to collide.
  static func firstDuplicate(
    bytes: [UInt8], tape: [UInt32], object: Int, count: Int
  ) -> Int? {
    guard count > 1 else { return nil }
    return count <= pairwiseLimit
      ? firstDuplicatePairwise(bytes: bytes, tape: tape, object: object)
      : firstDuplicateHashed(bytes: bytes, tape: tape, object: object, count: count)
  }

  private static func firstDuplicatePairwise(
    bytes: [UInt8], tape: [UInt32], object: Int
  ) -> Int? {
    let end = Int(tape[object + 1])
    var index = object + 2
    while index < end {
      var earlier = object + 2
      while earlier < index {
        if areEqual(bytes, Int(tape[earlier]), Int(tape[index])) { return Int(tape[index]) }
        earlier = JSONValue.indexAfter(earlier + 1, bytes: bytes, tape: tape)
      }
      index = JSONValue.indexAfter(index + 1, bytes: bytes, tape: tape)
    }
    return nil
  }

  private static func firstDuplicateHashed(
    bytes: [UInt8], tape: [UInt32], object: Int, count: Int
  ) -> Int? {
    // A power of two above 1.5 times the count: at most two thirds full, at most 12 bytes a key.
    var capacity = 16
    while capacity < count + count / 2 { capacity *= 2 }
    // A slot holds the position of a key; no key is at position 0, where the text's `{` is.
    var slots = [UInt32](repeating: 0, count: capacity)
    let end = Int(tape[object + 1])
    var index = object + 2
    while index < end {
      let key = tape[index]
      var slot = hash(bytes, Int(key)) & (capacity - 1)
      while slots[slot] != 0 {
        if areEqual(bytes, Int(slots[slot]), Int(key)) { return Int(key) }
        slot = (slot + 1) & (capacity - 1)
      }
      slots[slot] = key
      index = JSONValue.indexAfter(index + 1, bytes: bytes, tape: tape)
    }
    return nil
  }

  private static func hash(_ bytes: [UInt8], _ position: Int) -> Int {
    var hasher = Hasher()
    var reader = JSONStringReader(bytes.span, position: position)
    var word: UInt64 = 0
    var count = 0
    while let byte = reader.next() {
      word = word << 8 | UInt64(byte)
      count += 1
      if count % 8 == 0 {
        hasher.combine(word)
        word = 0
      }
    }
    hasher.combine(word)
    hasher.combine(count)
    return hasher.finalize()
  }

  private static func areEqual(_ bytes: [UInt8], _ first: Int, _ second: Int) -> Bool {
    var firstReader = JSONStringReader(bytes.span, position: first)
    var secondReader = JSONStringReader(bytes.span, position: second)
    while let byte = firstReader.next() {
      guard secondReader.next() == byte else { return false }
    }
    return secondReader.next() == nil
  }

  /// Whether the string at `position` decodes to the UTF-8 of `key`.
  static func isEqual(_ bytes: [UInt8], _ position: Int, to key: String) -> Bool {
    var reader = JSONStringReader(bytes.span, position: position)
    for byte in key.utf8 {
      guard reader.next() == byte else { return false }
    }
    return reader.next() == nil
  }
}
