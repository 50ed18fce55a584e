/// The number of bytes of the scalar that starts with `byte`, in valid UTF-8.
@inline(__always)
func scalarLength(_ byte: UInt8) -> Int {
  byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4
}

/// The scalar at `position` of valid UTF-8, and the position behind it.
@inline(__always)
func decodedScalar(_ bytes: [UInt8], at position: Int) -> (scalar: UInt32, end: Int) {
  let first = UInt32(bytes[position])
  func bits(_ offset: Int) -> UInt32 { UInt32(bytes[position + offset] & 0x3F) }
  if first < 0x80 { return (first, position + 1) }
  if first < 0xE0 { return ((first & 0x1F) << 6 | bits(1), position + 2) }
  if first < 0xF0 { return ((first & 0x0F) << 12 | bits(1) << 6 | bits(2), position + 3) }
  return (
    (first & 0x07) << 18 | bits(1) << 12 | bits(2) << 6 | bits(3), position + 4
  )
}

/// The start of the scalar that ends before `end`, which is not 0, in valid UTF-8.
@inline(__always)
func startOfScalar(_ bytes: [UInt8], endingAt end: Int) -> Int {
  var start = end - 1
  while start > 0, bytes[start] & 0xC0 == 0x80 { start -= 1 }
  return start
}
