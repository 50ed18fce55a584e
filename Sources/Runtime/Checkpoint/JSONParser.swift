/// One pass over a JSON text that checks it and notes where its values are.
///
/// Nesting is kept in an array instead of the call stack, so that no text can exhaust it.
struct JSONParser {
  let bytes: [UInt8]
  private(set) var tape: [UInt32] = []

  private let path: String
  private let limits: JSONLimits
  private var position = 0
  private var containers: [Container] = []

  /// An array or object whose end has not been seen.
  private struct Container {
    let tapeIndex: Int
    let isObject: Bool
    var memberCount = 0
  }

  init(bytes: consuming [UInt8], path: String, limits: JSONLimits) {
    self.bytes = bytes
    self.path = path
    self.limits = limits
  }

  mutating func parse() throws(JSONError) {
    guard bytes.count <= limits.byteCount else {
      throw .tooLarge(path: path, byteCount: bytes.count, limit: limits.byteCount)
    }
    try validateUTF8()
    tape.reserveCapacity(tapeBound())
    try beginValue()
    while !containers.isEmpty { try continueContainer() }
    skipWhitespace()
    guard position == bytes.count else { throw malformed(.trailingText) }
  }

  // MARK: - Structure

  /// Reads one value, or the opening bracket of one.
  private mutating func beginValue() throws(JSONError) {
    skipWhitespace()
    let byte = try currentByte()
    tape.append(UInt32(truncatingIfNeeded: position))
    switch byte {
    case UInt8(ascii: "{"), UInt8(ascii: "["):
      guard containers.count < limits.depth else {
        throw .tooDeep(path: path, offset: position, limit: limits.depth)
      }
      containers.append(
        Container(tapeIndex: tape.count - 1, isObject: byte == UInt8(ascii: "{")))
      tape.append(0)
      position += 1
    case UInt8(ascii: "\""): try skipString()
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try skipNumber()
    case UInt8(ascii: "t"): try skipLiteral("true")
    case UInt8(ascii: "f"): try skipLiteral("false")
    case UInt8(ascii: "n"): try skipLiteral("null")
    default: throw malformed(.unexpectedByte(byte))
    }
  }

  /// Reads the next member of the innermost container, or its end.
  private mutating func continueContainer() throws(JSONError) {
    let last = containers.count - 1
    let container = containers[last]
    let closing = container.isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")
    skipWhitespace()
    let byte = try currentByte()
    if byte == closing {
      position += 1
      try endContainer()
      return
    }
    if container.memberCount > 0 {
      guard byte == UInt8(ascii: ",") else { throw malformed(.unexpectedByte(byte)) }
      position += 1
    }
    containers[last].memberCount += 1
    if container.isObject {
      skipWhitespace()
      let quote = try currentByte()
      guard quote == UInt8(ascii: "\"") else { throw malformed(.unexpectedByte(quote)) }
      tape.append(UInt32(truncatingIfNeeded: position))
      try skipString()
      skipWhitespace()
      let colon = try currentByte()
      guard colon == UInt8(ascii: ":") else { throw malformed(.unexpectedByte(colon)) }
      position += 1
    }
    try beginValue()
  }

  private mutating func endContainer() throws(JSONError) {
    let container = containers.removeLast()
    tape[container.tapeIndex + 1] = UInt32(truncatingIfNeeded: tape.count)
    guard container.isObject,
      let duplicate = JSONKeys.firstDuplicate(
        bytes: bytes, tape: tape, object: container.tapeIndex, count: container.memberCount)
    else { return }
    let key = JSONText.string(bytes, at: duplicate)
    throw .duplicateKey(path: path, offset: duplicate, key: key)
  }

  // MARK: - Tokens

  private mutating func skipWhitespace() {
    while position < bytes.count {
      switch bytes[position] {
      case 0x20, 0x0A, 0x0D, 0x09: position += 1
      default: return
      }
    }
  }

  private mutating func skipLiteral(_ literal: String) throws(JSONError) {
    for expected in literal.utf8 {
      let byte = try currentByte()
      guard byte == expected else { throw malformed(.unexpectedByte(byte)) }
      position += 1
    }
  }

  private mutating func skipString() throws(JSONError) {
    position += 1
    while true {
      let byte = try currentByte()
      switch byte {
      case UInt8(ascii: "\""):
        position += 1
        return
      case UInt8(ascii: "\\"): try skipEscape()
      case 0..<0x20: throw malformed(.controlCharacter)
      default: position += 1
      }
    }
  }

  private mutating func skipEscape() throws(JSONError) {
    let start = position
    position += 1
    switch try currentByte() {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"),
      UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
      position += 1
    case UInt8(ascii: "u"):
      position += 1
      let unit = try skipHexadecimal(escapeStart: start)
      guard unit & 0xF800 == 0xD800 else { return }
      guard unit < 0xDC00, position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
        bytes[position + 1] == UInt8(ascii: "u")
      else { throw .malformed(path: path, offset: start, problem: .loneSurrogate) }
      position += 2
      guard try skipHexadecimal(escapeStart: start) & 0xFC00 == 0xDC00 else {
        throw .malformed(path: path, offset: start, problem: .loneSurrogate)
      }
    default: throw .malformed(path: path, offset: start, problem: .escape)
    }
  }

  private mutating func skipHexadecimal(escapeStart: Int) throws(JSONError) -> UInt32 {
    var unit: UInt32 = 0
    for _ in 0..<4 {
      guard let digit = JSONText.hexadecimalDigit(try currentByte()) else {
        throw .malformed(path: path, offset: escapeStart, problem: .escape)
      }
      unit = unit << 4 | digit
      position += 1
    }
    return unit
  }

  private mutating func skipNumber() throws(JSONError) {
    let start = position
    if bytes[position] == UInt8(ascii: "-") { position += 1 }
    let leadingZero = position < bytes.count && bytes[position] == UInt8(ascii: "0")
    let digitCount = skipDigits()
    var isValid = leadingZero ? digitCount == 1 : digitCount > 0
    if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
      position += 1
      isValid = skipDigits() > 0 && isValid
    }
    if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") {
      position += 1
      if position < bytes.count,
        bytes[position] == UInt8(ascii: "+") || bytes[position] == UInt8(ascii: "-")
      {
        position += 1
      }
      isValid = skipDigits() > 0 && isValid
    }
    guard isValid else { throw .malformed(path: path, offset: start, problem: .number) }
  }

  private mutating func skipDigits() -> Int {
    let start = position
    while position < bytes.count, JSONText.isDigit(bytes[position]) { position += 1 }
    return position - start
  }

  // MARK: - Bytes

  private func currentByte() throws(JSONError) -> UInt8 {
    guard position < bytes.count else { throw malformed(.endOfText) }
    return bytes[position]
  }

  private func malformed(_ problem: JSONProblem) -> JSONError {
    .malformed(path: path, offset: position, problem: problem)
  }

  private func validateUTF8() throws(JSONError) {
    do throws(Unicode.UTF8.ValidationError) {
      _ = try UTF8Span(validating: bytes.span)
    } catch {
      throw .malformed(path: path, offset: error.byteOffsets.lowerBound, problem: .notUTF8)
    }
  }

  /// The number of tape words that a valid text needs, or a little more.
  ///
  /// Every value is the root, or follows a comma, a colon or an opening bracket; every key follows a
  /// comma or a brace; every container has one word more. Reserving that much matters because a tape
  /// that grows by doubling takes, for a moment, more than twice its size. Brackets inside strings
  /// are counted too: memory that is reserved but never written costs nothing.
  private func tapeBound() -> Int {
    var bound = 1
    for byte in bytes {
      switch byte {
      case UInt8(ascii: ","), UInt8(ascii: ":"): bound += 1
      case UInt8(ascii: "["), UInt8(ascii: "{"): bound += 2
      default: break
      }
    }
    // No value is shorter than its words, save the containers still open in a text cut short.
    return min(bound, bytes.count + limits.depth)
  }
}
