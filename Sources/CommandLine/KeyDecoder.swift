/// A key press, or a scalar of pasted text.
package enum Key: Equatable, Sendable {
  /// A scalar to insert, possibly a line feed or a control character from pasted text.
  case text(Unicode.Scalar)
  /// Enter.
  case enter
  /// Alt-Enter: a line feed within the text.
  case lineBreak
  case left, right, up, down, home, end
  case wordLeft, wordRight
  case backspace, delete
  case deleteWordLeft, deleteWordRight
  /// A control key by its letter in lower case: "c" for Ctrl-C.
  case control(Character)
}

/// Decodes the bytes that a terminal sends into keys.
///
/// Reads UTF-8, the cursor keys of xterm, VT220 and the Linux console, Alt as a leading ESC, and
/// bracketed paste, in which everything up to the closing sequence is text. Unknown sequences are
/// ignored.
package struct KeyDecoder: Sendable {
  private enum State {
    case ground
    /// In a UTF-8 sequence that needs `missing` more bytes.
    case sequence(missing: Int)
    /// After ESC.
    case escape
    /// After ESC [ and the given parameter bytes.
    case control([UInt8])
    /// After ESC O.
    case single
  }

  private var state = State.ground
  private var sequence: [UInt8] = []
  private var isPasting = false
  /// While pasting, the number of bytes of the closing sequence that were received.
  private var matched = 0
  private var lastWasReturn = false

  /// Makes a decoder that has received no bytes.
  package init() {}

  private static let pasteEnd = Array("\u{1B}[201~".utf8)

  /// The keys that a byte completes: none, one, or several when it ends an incomplete sequence.
  package mutating func keys(for byte: UInt8) -> [Key] {
    if isPasting { return pasted(byte) }
    switch state {
    case .ground: return ground(byte)
    case .sequence(let missing): return continued(byte, missing: missing)
    case .escape:
      state = .ground
      return escaped(byte)
    case .control(let parameters):
      // Parameters and intermediates end with a byte from @ to ~ (ECMA-48, 5.4). No real sequence has
      // more than 32 of them; the bytes after those are dropped up to the end.
      if (0x40...0x7E).contains(byte) {
        state = .ground
        return controlSequence(parameters, final: byte)
      }
      if byte == 0x1B {
        state = .escape
      } else if parameters.count < 32 {
        state = .control(parameters + [byte])
      }
      return []
    case .single:
      state = .ground
      return cursorKey(byte).map { [$0] } ?? []
    }
  }

  private mutating func ground(_ byte: UInt8) -> [Key] {
    switch byte {
    case 0x1B:
      state = .escape
      return []
    case 0x0D, 0x0A: return [.enter]
    case 0x08, 0x7F: return [.backspace]
    case 0x09: return [.text("\t")]
    case 0x01...0x1A: return [.control(Character(Unicode.Scalar(byte + 0x60)))]
    case 0x00, 0x1C...0x1F: return []
    case 0x20..<0x80: return [.text(Unicode.Scalar(byte))]
    default: return sequenceStart(byte)
    }
  }

  private mutating func escaped(_ byte: UInt8) -> [Key] {
    switch byte {
    case UInt8(ascii: "["):
      state = .control([])
      return []
    case UInt8(ascii: "O"):
      state = .single
      return []
    case 0x1B:
      state = .escape
      return []
    case 0x0D, 0x0A: return [.lineBreak]
    case UInt8(ascii: "b"): return [.wordLeft]
    case UInt8(ascii: "f"): return [.wordRight]
    case UInt8(ascii: "d"): return [.deleteWordRight]
    case 0x08, 0x7F: return [.deleteWordLeft]
    default: return []
    }
  }

  private mutating func controlSequence(_ parameters: [UInt8], final: UInt8) -> [Key] {
    let numbers = String(decoding: parameters, as: UTF8.self).split(
      separator: ";", omittingEmptySubsequences: false)
    // The second number encodes the modifiers: Alt is 3, Control 5, both 7.
    let isWord = numbers.count > 1 && ["3", "5", "7"].contains(numbers[1])
    if final != UInt8(ascii: "~") {
      switch cursorKey(final) {
      case .left?: return [isWord ? .wordLeft : .left]
      case .right?: return [isWord ? .wordRight : .right]
      case let key?: return [key]
      case nil: return []
      }
    }
    switch numbers.first {
    case "1", "7": return [.home]
    case "4", "8": return [.end]
    case "3": return [isWord ? .deleteWordRight : .delete]
    case "200":
      isPasting = true
      matched = 0
      lastWasReturn = false
      return []
    default: return []
    }
  }

  private func cursorKey(_ final: UInt8) -> Key? {
    switch final {
    case UInt8(ascii: "A"): .up
    case UInt8(ascii: "B"): .down
    case UInt8(ascii: "C"): .right
    case UInt8(ascii: "D"): .left
    case UInt8(ascii: "H"): .home
    case UInt8(ascii: "F"): .end
    case UInt8(ascii: "M"): .enter
    default: nil
    }
  }

  // MARK: - UTF-8

  private mutating func sequenceStart(_ byte: UInt8) -> [Key] {
    let missing: Int
    switch byte {
    case 0x00..<0x80: return [.text(Unicode.Scalar(byte))]
    case 0xC2..<0xE0: missing = 1
    case 0xE0..<0xF0: missing = 2
    case 0xF0..<0xF5: missing = 3
    default: return [.text("\u{FFFD}")]
    }
    sequence = [byte]
    state = .sequence(missing: missing)
    return []
  }

  private mutating func continued(_ byte: UInt8, missing: Int) -> [Key] {
    guard byte & 0xC0 == 0x80 else {
      state = .ground
      return [.text("\u{FFFD}")] + keys(for: byte)
    }
    sequence.append(byte)
    if missing > 1 {
      state = .sequence(missing: missing - 1)
      return []
    }
    state = .ground
    // Surrogates and overlong forms become replacement characters here.
    return String(decoding: sequence, as: UTF8.self).unicodeScalars.map { .text($0) }
  }

  // MARK: - Bracketed paste

  private mutating func pasted(_ byte: UInt8) -> [Key] {
    if byte == Self.pasteEnd[matched] {
      matched += 1
      guard matched == Self.pasteEnd.count else { return [] }
      isPasting = false
      matched = 0
      return endOfSequence()
    }
    var result: [Key] = []
    let held = Self.pasteEnd[..<matched]
    matched = 0
    for byte in held { result += pastedText(byte) }
    if byte == Self.pasteEnd[0] {
      matched = 1
      return result
    }
    return result + pastedText(byte)
  }

  private mutating func pastedText(_ byte: UInt8) -> [Key] {
    var result: [Key] = []
    if case .sequence(let missing) = state {
      if byte & 0xC0 == 0x80 { return continued(byte, missing: missing) }
      result = endOfSequence()
    }
    let followsReturn = lastWasReturn
    lastWasReturn = byte == 0x0D
    switch byte {
    // Terminals send a line break as a carriage return, some with a line feed.
    case 0x0D: result.append(.text("\n"))
    case 0x0A: if !followsReturn { result.append(.text("\n")) }
    default: result += sequenceStart(byte)
    }
    return result
  }

  /// Ends an unfinished UTF-8 sequence, which becomes a replacement character.
  private mutating func endOfSequence() -> [Key] {
    guard case .sequence = state else { return [] }
    state = .ground
    return [.text("\u{FFFD}")]
  }
}
