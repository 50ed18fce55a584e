/// The decoding of bytes that arrive one after the other and may not be UTF-8.
///
/// Outputs whole scalars only. Bytes that cannot become one are replaced by U+FFFD, once for each
/// longest sequence of bytes that begins a scalar, or for a single byte that begins none.
///
/// Source: The Unicode Standard, section 3.9, "U+FFFD substitution of maximal subparts".
struct UTF8Repair {
  /// U+FFFD in UTF-8.
  static let replacement: [UInt8] = [0xEF, 0xBF, 0xBD]

  /// The beginning of a scalar.
  private var pending: [UInt8] = []
  /// How many bytes the scalar still needs.
  private var missingCount = 0
  /// The values that the next byte may have.
  private var allowed: ClosedRange<UInt8> = 0x80...0xBF

  /// Takes one byte and appends the bytes that are now certain to `output`.
  mutating func append(_ byte: UInt8, to output: inout [UInt8]) {
    if missingCount > 0 {
      if allowed.contains(byte) {
        pending.append(byte)
        missingCount -= 1
        allowed = 0x80...0xBF
        if missingCount == 0 { flush(to: &output, replacing: false) }
        return
      }
      flush(to: &output, replacing: true)
    }
    switch byte {
    case 0x00...0x7F: output.append(byte)
    case 0xC2...0xDF: begin(byte, missing: 1)
    case 0xE0: begin(byte, missing: 2, allowed: 0xA0...0xBF)
    case 0xED: begin(byte, missing: 2, allowed: 0x80...0x9F)
    case 0xE1...0xEF: begin(byte, missing: 2)
    case 0xF0: begin(byte, missing: 3, allowed: 0x90...0xBF)
    case 0xF4: begin(byte, missing: 3, allowed: 0x80...0x8F)
    case 0xF1...0xF3: begin(byte, missing: 3)
    default: output.append(contentsOf: Self.replacement)
    }
  }

  /// Ends the text: a scalar that was begun is replaced.
  mutating func finish(to output: inout [UInt8]) {
    if missingCount > 0 { flush(to: &output, replacing: true) }
  }

  private mutating func begin(
    _ byte: UInt8, missing: Int, allowed: ClosedRange<UInt8> = 0x80...0xBF
  ) {
    pending.append(byte)
    missingCount = missing
    self.allowed = allowed
  }

  private mutating func flush(to output: inout [UInt8], replacing: Bool) {
    output.append(contentsOf: replacing ? Self.replacement : pending)
    pending.removeAll(keepingCapacity: true)
    missingCount = 0
    allowed = 0x80...0xBF
  }
}
