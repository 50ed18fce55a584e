internal import Kernels

/// The SHA-256 digest of bytes that arrive in any number of pieces.
///
/// ```swift
/// var hash = SHA256()
/// hash.update(bytes.span)
/// let digest = hash.finalized()
/// ```
///
/// Source: FIPS 180-4, sections 5.1.1, 5.3.3 and 6.2.
package struct SHA256: Sendable {
  private var state: [UInt32] = [
    0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a,
    0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
  ]
  /// The bytes of a block that is not full yet.
  private var pending: [UInt8] = []
  private var byteCount: UInt64 = 0

  /// The hash of an empty message, which `update` extends.
  package init() {}

  /// Adds `bytes` to the message.
  ///
  /// - Complexity: O(bytes).
  package mutating func update(_ bytes: Span<UInt8>) {
    byteCount &+= UInt64(bytes.count)
    var position = 0
    if !pending.isEmpty {
      while pending.count < 64, position < bytes.count {
        pending.append(bytes[position])
        position += 1
      }
      guard pending.count == 64 else { return }
      let block = pending
      compress(block.span)
      pending.removeAll(keepingCapacity: true)
    }
    let end = position + (bytes.count - position) / 64 * 64
    compress(bytes.extracting(position..<end))
    position = end
    while position < bytes.count {
      pending.append(bytes[position])
      position += 1
    }
  }

  /// Adds `bytes` to the message.
  ///
  /// - Complexity: O(bytes).
  package mutating func update(_ bytes: RawSpan) {
    // Every pattern of eight bits is a valid UInt8.
    update(Span<UInt8>(_bytes: bytes))
  }

  /// The 32 bytes of the digest; more bytes can still be added to the hash afterwards.
  package func finalized() -> [UInt8] {
    var hash = self
    // A one bit, zeros up to 8 bytes before the end of a block, the length in bits.
    let zeroCount = (119 - Int(byteCount % 64)) % 64
    var padding: [UInt8] = [0x80] + [UInt8](repeating: 0, count: zeroCount)
    let bitCount = byteCount &* 8
    for shift in stride(from: UInt64(56), through: 0, by: -8) {
      padding.append(UInt8(truncatingIfNeeded: bitCount >> shift))
    }
    hash.update(padding.span)
    return hash.state.flatMap { word in
      stride(from: UInt32(24), through: 0, by: -8).map { UInt8(truncatingIfNeeded: word >> $0) }
    }
  }

  /// The digest of `bytes` as 64 lowercase hexadecimal digits.
  ///
  /// - Complexity: O(bytes).
  package static func hexadecimalDigest(of bytes: [UInt8]) -> String {
    var hash = SHA256()
    hash.update(bytes.span)
    return hexadecimal(hash.finalized())
  }

  /// The bytes of a digest as lowercase hexadecimal digits.
  package static func hexadecimal(_ digest: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    let text = digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
    return String(decoding: text, as: UTF8.self)
  }

  /// Applies the compression function to whole blocks of 64 bytes.
  private mutating func compress(_ blocks: Span<UInt8>) {
    unsafe blocks.withUnsafeBufferPointer { blocks in
      guard let start = blocks.baseAddress else { return }
      unsafe kernels_sha256(&state, start, blocks.count / 64)
    }
  }
}
