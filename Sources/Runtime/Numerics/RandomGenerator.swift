/// A small, fast generator of random numbers whose sequence is fixed by its seed.
///
/// The state is 256 bits, the period 2^256 - 1; the same seed gives the same numbers everywhere.
///
/// Source: Blackman and Vigna, "Scrambled linear pseudorandom number generators", xoshiro256**;
/// seeded by splitmix64 as the authors advise.
public struct RandomGenerator: RandomNumberGenerator, Sendable {
  private var state: (UInt64, UInt64, UInt64, UInt64)

  /// A generator for `seed`.
  public init(seed: UInt64) {
    var counter = seed
    func splitMix() -> UInt64 {
      counter &+= 0x9E37_79B9_7F4A_7C15
      var z = counter
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }
    state = (splitMix(), splitMix(), splitMix(), splitMix())
  }

  /// The next 64 random bits.
  public mutating func next() -> UInt64 {
    func rotated(_ x: UInt64, _ k: UInt64) -> UInt64 { x << k | x >> (64 - k) }
    let result = rotated(state.1 &* 5, 7) &* 9
    let shifted = state.1 << 17
    state.2 ^= state.0
    state.3 ^= state.1
    state.1 ^= state.2
    state.0 ^= state.3
    state.2 ^= shifted
    state.3 = rotated(state.3, 45)
    return result
  }

  /// A number drawn uniformly from 0 ..< 1, in steps of 2^-53.
  public mutating func nextUnit() -> Double { Double(next() >> 11) * 0x1p-53 }
}
