/// What scalars decompose to and which pairs compose, from the `DecompositionTable`.
struct Decompositions: Sendable {
  /// The tables, read once.
  static let shared = Decompositions(DecompositionTable.words)

  /// The decomposition of one scalar in `scalars`.
  private struct Place {
    var start: UInt32 = 0
    var count: UInt8 = 0
    /// Whether the decomposition is one of the canonical kind.
    var isCanonical = true
  }

  /// Per scalar and 256: the index in `pages` of the page that holds it; page 0 is empty.
  private var pageNumbers = [UInt16](repeating: 0, count: 0x1100)
  /// Pages of 256 places.
  private var pages = [Place](repeating: Place(), count: 256)
  /// The decompositions as the table has them, one after the other, of one step each.
  private var scalars: [UInt32] = []
  /// The composed scalar of each pair, the first one in the upper half of the key.
  private var compositions: [UInt64: UInt32] = [:]

  private init(_ words: String) {
    let bytes = Array(words.utf8)
    var position = 0
    /// The number at `position`, behind which the position moves.
    func number() -> UInt32 {
      var value: UInt32 = 0
      while position < bytes.count, let digit = hexadecimalDigit(bytes[position]) {
        value = value << 4 | UInt32(digit)
        position += 1
      }
      return value
    }
    while position < bytes.count {
      guard hexadecimalDigit(bytes[position]) != nil else {
        position += 1
        continue
      }
      let first = number()
      var repeats: UInt32 = 1
      if bytes[position] == UInt8(ascii: "*") {
        position += 1
        repeats = number()
      }
      let kind = bytes[position]
      position += 1
      var targets = [number()]
      while position < bytes.count, bytes[position] == UInt8(ascii: "+") {
        position += 1
        targets.append(number())
      }
      for offset in 0..<repeats {
        insert(
          targets.map { $0 + offset }, of: first + offset, isCanonical: kind != UInt8(ascii: "~"))
      }
      if kind == UInt8(ascii: "="), targets.count == 2 {
        compositions[Self.pair(targets[0], targets[1])] = first
      }
    }
  }

  private mutating func insert(_ targets: [UInt32], of scalar: UInt32, isCanonical: Bool) {
    let page = Int(scalar >> 8)
    if pageNumbers[page] == 0 {
      pageNumbers[page] = UInt16(pages.count / 256)
      pages.append(contentsOf: repeatElement(Place(), count: 256))
    }
    pages[Int(pageNumbers[page]) * 256 + Int(scalar & 0xFF)] = Place(
      start: UInt32(scalars.count), count: UInt8(targets.count), isCanonical: isCanonical)
    scalars += targets
  }

  private static func pair(_ first: UInt32, _ second: UInt32) -> UInt64 {
    UInt64(first) << 32 | UInt64(second)
  }

  /// Calls `body` with each scalar of the full decomposition of `scalar`, before reordering.
  func decompose(_ scalar: UInt32, compatibly: Bool, _ body: (UInt32) -> Void) {
    if Hangul.syllables.contains(scalar) {
      Hangul.decompose(scalar, body)
      return
    }
    let place = pages[Int(pageNumbers[Int(scalar >> 8)]) * 256 + Int(scalar & 0xFF)]
    guard place.count > 0, compatibly || place.isCanonical else {
      body(scalar)
      return
    }
    for offset in 0..<UInt32(place.count) {
      // The table has steps; a chain of them has at most four, so the recursion is not deep.
      decompose(scalars[Int(place.start + offset)], compatibly: compatibly, body)
    }
  }

  /// The scalar that two scalars compose to, or nil.
  func composed(_ first: UInt32, _ second: UInt32) -> UInt32? {
    Hangul.composed(first, second) ?? compositions[Self.pair(first, second)]
  }
}

/// The composition of Hangul syllables by rule.
///
/// Source: The Unicode Standard, section 3.12, "Conjoining Jamo Behavior".
private enum Hangul {
  static let syllables: ClosedRange<UInt32> = 0xAC00...0xD7A3
  private static let leading: ClosedRange<UInt32> = 0x1100...0x1112
  private static let vowels: ClosedRange<UInt32> = 0x1161...0x1175
  private static let trailing: ClosedRange<UInt32> = 0x11A8...0x11C2
  private static let trailingCount: UInt32 = 28
  private static let vowelCount: UInt32 = 21

  static func decompose(_ syllable: UInt32, _ body: (UInt32) -> Void) {
    let index = syllable - syllables.lowerBound
    body(leading.lowerBound + index / (vowelCount * trailingCount))
    body(vowels.lowerBound + index / trailingCount % vowelCount)
    let tail = index % trailingCount
    if tail > 0 { body(trailing.lowerBound + tail - 1) }
  }

  static func composed(_ first: UInt32, _ second: UInt32) -> UInt32? {
    if leading.contains(first), vowels.contains(second) {
      let index = (first - leading.lowerBound) * vowelCount + (second - vowels.lowerBound)
      return syllables.lowerBound + index * trailingCount
    }
    if syllables.contains(first), trailing.contains(second),
      (first - syllables.lowerBound) % trailingCount == 0
    {
      return first + second - trailing.lowerBound + 1
    }
    return nil
  }
}

/// The value of a hexadecimal digit in lower case, or nil.
private func hexadecimalDigit(_ byte: UInt8) -> UInt8? {
  switch byte {
  case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
  case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
  default: nil
  }
}
