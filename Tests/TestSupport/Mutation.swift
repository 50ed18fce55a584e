package import DuetRuntime

/// `original` after one to four random changes of the kinds that break parsers.
///
/// A change flips a bit, replaces or removes or repeats a short run of bytes, cuts the end, or puts a
/// number or a token with a special meaning somewhere, or swaps two words in quotation marks.
package func mutated(_ original: [UInt8], using generator: inout RandomGenerator) -> [UInt8] {
  let tokens = [
    "0", "1", "-1", "2147483648", "4294967296", "9007199254740992", "9223372036854775807",
    "9223372036854775808", "18446744073709551615", "18446744073709551616", "1.5", "1e400", "\"7\"",
    "null", "[]", "{}", "[", "]", "{", "}", ",", ":", "\"", "\\", "\\u", "\\ud800", "\u{0}",
  ]
  var bytes = original
  for _ in 0..<Int.random(in: 1...4, using: &generator) where !bytes.isEmpty {
    let position = Int.random(in: 0..<bytes.count, using: &generator)
    let end = min(bytes.count, position + Int.random(in: 1...8, using: &generator))
    switch Int.random(in: 0..<8, using: &generator) {
    case 0: bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
    case 1: bytes[position] = UInt8.random(in: 0...255, using: &generator)
    case 2: bytes.removeSubrange(position..<end)
    case 3: bytes.insert(contentsOf: bytes[position..<end], at: position)
    case 4: bytes.removeSubrange(position...)
    case 6: swapQuoted(in: &bytes, from: position, using: &generator)
    case 5:
      bytes.replaceSubrange(
        position..<end, with: Array((tokens.randomElement(using: &generator) ?? "0").utf8))
    default:
      // A whole number is replaced where there is one, which keeps the text well formed.
      var start = position
      while start < bytes.count, !(0x30...0x39).contains(bytes[start]) { start += 1 }
      var stop = start
      while stop < bytes.count, (0x30...0x39).contains(bytes[stop]) { stop += 1 }
      bytes.replaceSubrange(
        start..<stop, with: Array((tokens.randomElement(using: &generator) ?? "0").utf8))
    }
  }
  return bytes
}

/// Swaps the first words in quotation marks after two places, such as two keys of a JSON object.
private func swapQuoted(
  in bytes: inout [UInt8], from position: Int, using generator: inout RandomGenerator
) {
  let quote = UInt8(ascii: "\"")
  func quoted(from start: Int) -> Range<Int>? {
    guard let open = bytes[start...].firstIndex(of: quote),
      let close = bytes[(open + 1)...].firstIndex(of: quote)
    else { return nil }
    return open..<close + 1
  }
  let other = Int.random(in: 0..<bytes.count, using: &generator)
  guard let first = quoted(from: min(position, other)),
    let second = quoted(from: max(position, other)), first.upperBound <= second.lowerBound
  else { return }
  let word = Array(bytes[first])
  bytes.replaceSubrange(first, with: Array(bytes[second]))
  let shift = second.count - first.count
  bytes.replaceSubrange(second.lowerBound + shift..<second.upperBound + shift, with: word)
}

/// JSON text after one or two changes that leave it well formed: another value for a key.
///
/// The value is a number near the old one, a number with a special meaning, or a value that some key
/// of a compressed model's config.json accepts.
func withOtherValues(_ text: [UInt8], using generator: inout RandomGenerator) -> [UInt8] {
  let values = [
    "0", "1", "2", "3", "4", "8", "16", "17", "32", "48", "64", "128", "16777216", "-1", "1.5",
    "1e-300",
    "4294967297", "9223372036854775807", "true", "null", "[]", "{}", #""int2""#, #""int3""#,
    #""int4""#,
    #""int8""#, #""e8p""#, #""trellis2""#, #""trellis2.5""#, #""f16""#, #""none""#, #""row""#,
    #""input""#, #""both""#,
    #""asymmetric""#,
    #""symmetric""#, #""mistral""#, #""a.safetensors""#, #""b.safetensors""#,
  ]
  var bytes = text
  for _ in 0..<Int.random(in: 1...2, using: &generator) {
    let scalars = scalarValues(of: bytes)
    guard let range = scalars.randomElement(using: &generator) else { break }
    let old = Int(String(decoding: bytes[range], as: UTF8.self))
    if let old, Bool.random(using: &generator) {
      let step = Int.random(in: -2...2, using: &generator)
      bytes.replaceSubrange(
        range, with: Array("\(old.addingReportingOverflow(step).partialValue)".utf8))
    } else {
      bytes.replaceSubrange(
        range, with: Array((values.randomElement(using: &generator) ?? "0").utf8))
    }
  }
  return bytes
}

/// The ranges of the values after colons that are neither objects nor lists.
///
/// Strings are assumed to contain no colon, comma, closing bracket or line feed.
private func scalarValues(of text: [UInt8]) -> [Range<Int>] {
  let (ends, blank) = (Array(",}]\n".utf8), UInt8(ascii: " "))
  return text.indices.compactMap { colon in
    guard text[colon] == UInt8(ascii: ":"),
      let start = text[(colon + 1)...].firstIndex(where: { $0 != blank }),
      let end = text[start...].firstIndex(where: ends.contains),
      let first = text[start..<end].first, first != UInt8(ascii: "{"), first != UInt8(ascii: "[")
    else { return nil }
    return start..<end
  }
}
