/// A reader of the fields of one protocol buffer message.
///
/// Source: Protocol Buffers documentation, "Encoding".
struct ProtobufReader {
  /// The value of a field, by its wire type.
  enum Value {
    /// Wire type 0.
    case varint(UInt64)
    /// Wire type 1.
    case fixed64
    /// Wire type 2: a string, bytes, or a message.
    case bytes(Range<Int>)
    /// Wire type 5.
    case fixed32(UInt32)
  }

  /// A place where the message cannot be read.
  struct Problem: Error {
    let offset: Int
    let text: String
  }

  private let bytes: [UInt8]
  private var position: Int
  private let end: Int

  /// A reader of the message in `bytes[range]`.
  init(_ bytes: [UInt8], in range: Range<Int>) {
    self.bytes = bytes
    position = range.lowerBound
    end = range.upperBound
  }

  /// The next field, or nil at the end of the message.
  mutating func next() throws(Problem) -> (field: UInt64, value: Value)? {
    guard position < end else { return nil }
    let start = position
    let key = try varint()
    guard key >> 3 > 0 else { throw Problem(offset: start, text: "field number 0") }
    switch key & 7 {
    case 0: return (key >> 3, .varint(try varint()))
    case 1:
      _ = try take(8)
      return (key >> 3, .fixed64)
    case 2:
      let count = try varint()
      return (key >> 3, .bytes(try take(count)))
    case 5:
      let range = try take(4)
      var value: UInt32 = 0
      for index in range.reversed() { value = value << 8 | UInt32(bytes[index]) }
      return (key >> 3, .fixed32(value))
    default: throw Problem(offset: start, text: "unknown wire type \(key & 7)")
    }
  }

  private mutating func take(_ count: UInt64) throws(Problem) -> Range<Int> {
    guard count <= UInt64(end - position) else {
      throw Problem(offset: position, text: "a value that goes beyond the end")
    }
    let range = position..<position + Int(count)
    position = range.upperBound
    return range
  }

  /// A number of at most ten bytes with seven bits each, least significant first.
  private mutating func varint() throws(Problem) -> UInt64 {
    let start = position
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
      guard position < end else { throw Problem(offset: start, text: "an unfinished number") }
      let byte = bytes[position]
      position += 1
      // Only the lowest bit of the tenth byte fits.
      if shift == 63, byte > 1 { break }
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
    }
    throw Problem(offset: start, text: "a number of more than 64 bits")
  }
}
