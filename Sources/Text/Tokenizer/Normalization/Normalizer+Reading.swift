extension Normalizer {
  /// Reads the field `normalizer`.
  init(_ field: TokenizerField?) throws(TokenizerError) {
    guard let field else { return }
    for step in try field.steps("normalizers") { steps.append(try Step(step)) }
  }
}

extension Normalizer.Step {
  /// Reads one normalizer.
  fileprivate init(_ field: TokenizerField) throws(TokenizerError) {
    let type = try field.type()
    switch type {
    case "Prepend":
      try field.refuseMembers(besides: ["type", "prepend"])
      self = .prepend(try field.member("prepend").utf8())
    case "Replace":
      try field.refuseMembers(besides: ["type", "pattern", "content"])
      let content = try field.member("content").utf8()
      if let expression = try field.regularExpression() {
        self = .replaceMatches(expression, content: content)
      } else {
        self = .replace(pattern: try field.stringPattern(), content: content)
      }
    case "Strip":
      try field.refuseMembers(besides: ["type", "strip_left", "strip_right"])
      self = .strip(
        left: try field.bool("strip_left", default: true),
        right: try field.bool("strip_right", default: true))
    case "Precompiled":
      try field.refuseMembers(besides: ["type", "precompiled_charsmap"])
      let text = try field.member("precompiled_charsmap")
      guard let map = decodedBase64(try text.utf8()).flatMap({ CharacterMap($0) }) else {
        throw text.wrongType("a SentencePiece character map in base64")
      }
      self = .characterMap(map)
    default:
      guard let step = Self.plainSteps[type] else { throw field.unsupported() }
      try field.refuseMembers(besides: ["type"])
      self = step
    }
  }

  /// The normalizers without settings.
  private static let plainSteps: [String: Self] = [
    "NFC": .unicode(.nfc), "NFD": .unicode(.nfd), "NFKC": .unicode(.nfkc),
    "NFKD": .unicode(.nfkd), "Lowercase": .lowercase, "StripAccents": .stripAccents, "Nmt": .nmt,
    "ByteLevel": .byteLevel,
  ]
}

/// The bytes that a text in base64 stands for, or nil when it is none.
///
/// Source: RFC 4648, section 4.
private func decodedBase64(_ text: [UInt8]) -> [UInt8]? {
  let digits = text.prefix { $0 != UInt8(ascii: "=") }
  guard text.count % 4 == 0, text.count - digits.count <= 2,
    text[digits.count...].allSatisfy({ $0 == UInt8(ascii: "=") })
  else { return nil }
  var result: [UInt8] = []
  result.reserveCapacity(text.count / 4 * 3)
  var bits: UInt32 = 0
  var bitCount = 0
  for digit in digits {
    let value: UInt8
    switch digit {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = digit - UInt8(ascii: "A")
    case UInt8(ascii: "a")...UInt8(ascii: "z"): value = digit - UInt8(ascii: "a") + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): value = digit - UInt8(ascii: "0") + 52
    case UInt8(ascii: "+"): value = 62
    case UInt8(ascii: "/"): value = 63
    default: return nil
    }
    bits = bits << 6 | UInt32(value)
    bitCount += 6
    if bitCount >= 8 {
      bitCount -= 8
      result.append(UInt8(truncatingIfNeeded: bits >> UInt32(bitCount)))
    }
  }
  return result
}
