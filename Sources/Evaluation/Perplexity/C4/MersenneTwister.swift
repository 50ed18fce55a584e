/// The generator MT19937 with the seeding and the bounded integers of Python's `random`.
///
/// `seed` gives the sequence of `random.seed(seed)`, and `next(below:)` that of `randint(0, n - 1)`.
///
/// Source: Matsumoto and Nishimura, "Mersenne Twister", ACM TOMACS 8(1), 1998; the seeding is their
/// `init_by_array` with the 32-bit digits of the seed, the lowest first.
package struct MersenneTwister: Sendable {
  private static let length = 624
  private static let offset = 397

  private var state = [UInt32](repeating: 0, count: length)
  private var position = length

  /// Makes the generator that `random.seed(seed)` makes.
  package init(seed: UInt64) {
    let high = UInt32(truncatingIfNeeded: seed >> 32)
    let key = [UInt32(truncatingIfNeeded: seed)] + (high == 0 ? [] : [high])
    fill(19_650_218)
    var (i, j) = (1, 0)
    for _ in 0..<max(Self.length, key.count) {
      state[i] = (state[i] ^ (mixed(i) &* 1_664_525)) &+ key[j] &+ UInt32(j)
      advance(&i)
      j = (j + 1) % key.count
    }
    for _ in 1..<Self.length {
      state[i] = (state[i] ^ (mixed(i) &* 1_566_083_941)) &- UInt32(i)
      advance(&i)
    }
    state[0] = 0x8000_0000
  }

  /// The next 32 random bits.
  package mutating func next() -> UInt32 {
    if position == Self.length { regenerate() }
    var bits = state[position]
    position += 1
    bits ^= bits >> 11
    bits ^= bits << 7 & 0x9D2C_5680
    bits ^= bits << 15 & 0xEFC6_0000
    bits ^= bits >> 18
    return bits
  }

  /// A random integer from 0 to `count` - 1.
  ///
  /// It is the first of the numbers of as many bits as `count` has that is less than `count`.
  ///
  /// - Precondition: `count` is from 1 to 2^32 - 1.
  package mutating func next(below count: Int) -> Int {
    precondition(count > 0 && count <= Int(UInt32.max), "a random integer below \(count)")
    let shift = UInt32(count).leadingZeroBitCount
    while true {
      let number = Int(next() >> UInt32(shift))
      if number < count { return number }
    }
  }

  private mutating func fill(_ seed: UInt32) {
    state[0] = seed
    for i in 1..<Self.length { state[i] = mixed(i) &* 1_812_433_253 &+ UInt32(i) }
  }

  /// The previous word with its two highest bits added to its lowest.
  private func mixed(_ i: Int) -> UInt32 { state[i - 1] ^ state[i - 1] >> 30 }

  /// Moves to the next word; behind the last one it is the second, and the first becomes the last.
  private mutating func advance(_ i: inout Int) {
    i += 1
    guard i == Self.length else { return }
    state[0] = state[Self.length - 1]
    i = 1
  }

  private mutating func regenerate() {
    for i in 0..<Self.length {
      let next = state[(i + 1) % Self.length]
      let bits = state[i] & 0x8000_0000 | next & 0x7FFF_FFFF
      state[i] =
        state[(i + Self.offset) % Self.length] ^ bits >> 1 ^ (bits & 1 == 0 ? 0 : 0x9908_B0DF)
    }
    position = 0
  }
}
