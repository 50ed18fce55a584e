internal import DuetSystem

/// One pass over a JSON text that checks it and notes where its values are.
///
/// Nesting is kept in an array instead of the call stack, so that no text can exhaust it.
enum JSONParser {
  /// An array or object whose end has not been seen.
  private struct Container {
    let tapeIndex: Int
    let isObject: Bool
    var memberCount: Int
  }

  /// The tape of a text; see `JSONStorage`.
  ///
  /// - Complexity: O(bytes).
  static func tape(of bytes: [UInt8], depth: Int) throws(JSONFault) -> [UInt32] {
    let text = bytes.span
    do throws(Unicode.UTF8.ValidationError) {
      _ = try UTF8Span(validating: text)
    } catch {
      throw .malformed(offset: error.byteOffsets.lowerBound, problem: .notUTF8)
    }
    var scanner = JSONScanner(text)
    var tape: [UInt32] = []
    tape.reserveCapacity(tapeBound(text, depth: depth))
    var containers: [Container] = []
    repeat {
      if try beginValue(&scanner, &tape, &containers, depth: depth) { continue }
      try endValue(&scanner, &tape, &containers, bytes)
    } while !containers.isEmpty
    scanner.skipWhitespace()
    guard scanner.isAtEnd else { throw scanner.fault(.trailingText) }
    return tape
  }

  /// Reads a plain value, or the start of an array or object up to its first value.
  ///
  /// - Returns: Whether a value follows directly.
  @inline(__always)
  private static func beginValue(
    _ scanner: inout JSONScanner, _ tape: inout [UInt32], _ containers: inout [Container],
    depth: Int
  ) throws(JSONFault) -> Bool {
    let byte = try scanner.peekToken()
    tape.append(UInt32(truncatingIfNeeded: scanner.position))
    switch byte {
    case UInt8(ascii: "\""): try scanner.skipString()
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try scanner.skipNumber()
    case UInt8(ascii: "t"), UInt8(ascii: "f"), UInt8(ascii: "n"): try scanner.skipLiteral(byte)
    case UInt8(ascii: "{"), UInt8(ascii: "["):
      guard containers.count < depth else { throw .tooDeep(offset: scanner.position) }
      let isObject = byte == UInt8(ascii: "{")
      let tapeIndex = tape.count - 1
      tape.append(0)
      scanner.advance()
      let next = try scanner.peekToken()
      let isEmpty = next == byte + 2
      containers.append(
        Container(tapeIndex: tapeIndex, isObject: isObject, memberCount: isEmpty ? 0 : 1))
      if isEmpty { return false }
      if isObject { try readKey(&scanner, &tape) }
      return true
    default: throw scanner.fault(.unexpectedByte(byte))
    }
    return false
  }

  /// Reads what follows a value: the ends of containers and the comma before the next value.
  @inline(__always)
  private static func endValue(
    _ scanner: inout JSONScanner, _ tape: inout [UInt32], _ containers: inout [Container],
    _ bytes: [UInt8]
  ) throws(JSONFault) {
    while let container = containers.last {
      let byte = try scanner.peekToken()
      if byte == UInt8(ascii: ","), container.memberCount > 0 {
        scanner.advance()
        containers[containers.count - 1].memberCount += 1
        if container.isObject { try readKey(&scanner, &tape) }
        return
      }
      guard byte == (container.isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) else {
        throw scanner.fault(.unexpectedByte(byte))
      }
      scanner.advance()
      containers.removeLast()
      tape[container.tapeIndex + 1] = UInt32(truncatingIfNeeded: tape.count)
      if container.isObject,
        let duplicate = JSONKeys.firstDuplicate(
          bytes: bytes, tape: tape, object: container.tapeIndex, count: container.memberCount)
      {
        throw .duplicateKey(offset: duplicate)
      }
    }
  }

  /// Reads a key and its colon.
  private static func readKey(
    _ scanner: inout JSONScanner, _ tape: inout [UInt32]
  ) throws(JSONFault) {
    let quote = try scanner.peekToken()
    guard quote == UInt8(ascii: "\"") else { throw scanner.fault(.unexpectedByte(quote)) }
    tape.append(UInt32(truncatingIfNeeded: scanner.position))
    try scanner.skipString()
    let colon = try scanner.peekToken()
    guard colon == UInt8(ascii: ":") else { throw scanner.fault(.unexpectedByte(colon)) }
    scanner.advance()
  }

  /// The number of tape words that a valid text needs, or a little more.
  ///
  /// Every value is the root, or follows a comma, a colon or an opening bracket; every key follows a
  /// comma or a brace; every container has one word more. Reserving that much matters because a tape
  /// that grows by doubling takes, for a moment, more than twice its size. Brackets inside strings
  /// are counted too: memory that is reserved but never written costs nothing.
  private static func tapeBound(_ text: Span<UInt8>, depth: Int) -> Int {
    var bound = 1
    for index in text.indices {
      let byte = text[index]
      let isSeparator = byte == UInt8(ascii: ",") || byte == UInt8(ascii: ":")
      // "[" is 0x5B and "{" is 0x7B.
      let isOpening = byte | 0x20 == UInt8(ascii: "{")
      bound += isSeparator ? 1 : isOpening ? 2 : 0
    }
    // A value has at least as many bytes as words, except containers that a truncated text leaves
    // open.
    return min(bound, text.count + depth)
  }
}
