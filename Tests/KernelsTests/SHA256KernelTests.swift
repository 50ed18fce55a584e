import DuetRuntime
import Kernels
import Testing

@Suite("Kernels for SHA-256")
struct SHA256KernelTests {
  @Test("instructions for SHA-256 and plain C agree on random blocks")
  func instructionsAgree() {
    var generator = RandomGenerator(seed: 11)
    for count in 0..<40 {
      // An odd address, because messages begin anywhere.
      let bytes = (0..<64 * count + 1).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
      var state = (0..<8).map { _ in UInt32(truncatingIfNeeded: generator.next()) }
      var other = state
      bytes.withUnsafeBufferPointer { bytes in
        guard let start = bytes.baseAddress else { return }
        kernels_sha256(&state, start + 1, count)
        kernels_sha256_portable(&other, start + 1, count)
      }
      #expect(state == other, "\(count) blocks")
    }
  }
}
