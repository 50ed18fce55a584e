/// The classes of scalars that are in the same sets of a given list.
struct ScalarClassifier: Sendable {
  /// Per class: a bit for each set, which says whether the class is part of it.
  let memberships: [[UInt64]]
  /// Per 256 scalars: where their classes start in `classes`, divided by 256.
  private let pages: [UInt16]
  private let classes: [UInt16]

  /// The classes of the given sets.
  ///
  /// - Complexity: O(n (log n + s)) for n ranges of s sets.
  init(_ sets: [ScalarSet]) throws(RegularExpressionError) {
    // Where a set starts or ends, its bit is flipped.
    var flips: [(value: UInt32, set: Int)] = []
    for (index, set) in sets.enumerated() {
      for range in set.ranges {
        flips.append((range.lowerBound, index))
        flips.append((range.upperBound + 1, index))
      }
    }
    flips.sort { $0.value < $1.value }

    var membership = [UInt64](repeating: 0, count: (sets.count + 63) / 64)
    var memberships: [[UInt64]] = []
    var classOf: [[UInt64]: UInt16] = [:]
    /// The classes in order, each with the first scalar after it.
    var runs: [(end: UInt32, class: UInt16)] = []
    func append(to end: UInt32) throws(RegularExpressionError) {
      guard end > runs.last?.end ?? 0 else { return }
      if let known = classOf[membership] {
        runs.append((end, known))
        return
      }
      guard let number = UInt16(exactly: memberships.count) else {
        throw .unsupported("more than 65536 classes of characters")
      }
      classOf[membership] = number
      memberships.append(membership)
      runs.append((end, number))
    }
    for flip in flips {
      try append(to: flip.value)
      membership[flip.set / 64] ^= 1 << UInt64(flip.set % 64)
    }
    try append(to: ScalarSet.lastValue + 1)
    self.memberships = memberships
    (pages, classes) = Self.table(of: runs)
  }

  private static func table(
    of runs: [(end: UInt32, class: UInt16)]
  ) -> (pages: [UInt16], classes: [UInt16]) {
    var pages: [UInt16] = []
    var classes: [UInt16] = []
    var pageOfClass: [UInt16: UInt16] = [:]
    var run = 0
    for start in stride(from: UInt32(0), through: ScalarSet.lastValue, by: 256) {
      while runs[run].end <= start { run += 1 }
      let isUniform = runs[run].end >= start + 256
      if isUniform, let known = pageOfClass[runs[run].class] {
        pages.append(known)
        continue
      }
      let page = UInt16(classes.count / 256)
      if isUniform { pageOfClass[runs[run].class] = page }
      pages.append(page)
      for value in start..<start + 256 {
        while runs[run].end <= value { run += 1 }
        classes.append(runs[run].class)
      }
    }
    return (pages, classes)
  }

  /// The number of classes.
  var count: Int { memberships.count }

  /// The class of the scalar with the given value, which is at most U+10FFFF.
  @inline(__always)
  func classOf(_ value: UInt32) -> Int {
    Int(classes[Int(pages[Int(value >> 8)]) << 8 | Int(value & 0xFF)])
  }

  /// The class of the scalar whose bytes end at `end`, and where they start.
  ///
  /// - Parameters:
  ///   - text: Valid UTF-8.
  ///   - end: A position after a scalar.
  /// - Returns: The class and the position.
  @inline(__always)
  func scalar(in text: [UInt8], endingAt end: Int) -> (class: Int, start: Int) {
    var start = end - 1
    var byte = UInt32(text[start])
    if byte < 0x80 { return (classOf(byte), start) }
    var value: UInt32 = 0
    var shift: UInt32 = 0
    while byte & 0xC0 == 0x80, shift < 18, start > 0 {
      value |= (byte & 0x3F) << shift
      shift += 6
      start -= 1
      byte = UInt32(text[start])
    }
    // A first byte before n others has 6 - n bits.
    value |= (byte & (0x7F >> (shift / 6 + 1))) << shift
    return (classOf(min(value, ScalarSet.lastValue)), start)
  }
}
