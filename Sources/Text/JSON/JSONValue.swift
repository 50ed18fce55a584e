/// The six kinds of JSON value.
package enum JSONKind: Sendable, Hashable {
  case null, boolean, number, string, array, object
}

/// One value of a `JSONDocument`: a cursor into its text, cheap to copy.
///
/// Every accessor returns nil when the value is of another kind, so the caller finds a wrong type
/// where it reads the value.
package struct JSONValue: Sendable {
  let storage: JSONStorage
  /// The value's first word on the tape.
  let index: Int

  /// The position of the value's first byte in the text.
  package var byteOffset: Int { Int(storage.tape[index]) }

  /// The kind of the value.
  package var kind: JSONKind {
    switch storage.bytes[byteOffset] {
    case UInt8(ascii: "{"): .object
    case UInt8(ascii: "["): .array
    case UInt8(ascii: "\""): .string
    case UInt8(ascii: "t"), UInt8(ascii: "f"): .boolean
    case UInt8(ascii: "n"): .null
    default: .number
    }
  }

  /// Whether the value is `null`.
  package var isNull: Bool { kind == .null }

  /// The value of `true` or `false`.
  package var bool: Bool? {
    kind == .boolean ? storage.bytes[byteOffset] == UInt8(ascii: "t") : nil
  }

  /// The integer, or nil for a number with a fraction or exponent (`1.0`, `1e2`) or out of range.
  package var int: Int? {
    guard kind == .number,
      let (magnitude, isNegative) = JSONText.integer(storage.bytes, at: byteOffset)
    else { return nil }
    if let value = Int(exactly: magnitude) { return isNegative ? -value : value }
    return isNegative && magnitude == Int.min.magnitude ? .min : nil
  }

  /// The integer, or nil for a number with a sign, fraction or exponent or out of range.
  package var uint64: UInt64? {
    guard kind == .number,
      let (magnitude, isNegative) = JSONText.integer(storage.bytes, at: byteOffset), !isNegative
    else { return nil }
    return magnitude
  }

  /// The number rounded to the nearest `Double`, or nil when it is too large to be finite.
  package var double: Double? {
    kind == .number ? JSONText.double(storage.bytes, at: byteOffset) : nil
  }

  /// The string, its escapes decoded.
  ///
  /// Two strings of different bytes can be `==` in Swift; compare `utf8` where that matters.
  package var string: String? {
    kind == .string ? JSONText.string(storage.bytes, at: byteOffset) : nil
  }

  /// The UTF-8 bytes of the string, its escapes decoded.
  package var utf8: [UInt8]? {
    guard kind == .string else { return nil }
    var result: [UInt8] = []
    JSONText.appendUTF8(storage.bytes, at: byteOffset, to: &result)
    return result
  }

  /// Appends the UTF-8 bytes of the string, its escapes decoded, to `result`.
  ///
  /// - Returns: Whether the value is a string.
  package func appendUTF8(to result: inout [UInt8]) -> Bool {
    guard kind == .string else { return false }
    JSONText.appendUTF8(storage.bytes, at: byteOffset, to: &result)
    return true
  }

  /// Whether the value is a string of exactly the bytes of `text`.
  package func isString(_ text: String) -> Bool {
    kind == .string && JSONKeys.isEqual(storage.bytes, byteOffset, to: text)
  }

  /// The elements of the array, in order.
  package var elements: JSONElements? {
    guard kind == .array else { return nil }
    return JSONElements(storage: storage, container: index)
  }

  /// The members of the object, in the order of the text.
  package var members: JSONMembers? {
    guard kind == .object else { return nil }
    return JSONMembers(storage: storage, container: index)
  }

  /// The value of the member whose key has exactly the bytes of `key`, or nil.
  ///
  /// - Complexity: O(members); iterate over `members` to read many of them.
  package subscript(key: String) -> JSONValue? {
    guard let members else { return nil }
    for member in members where JSONKeys.isEqual(storage.bytes, member.keyOffset, to: key) {
      return member.value
    }
    return nil
  }

  /// The tape index after the value at `index`.
  static func indexAfter(_ index: Int, bytes: [UInt8], tape: [UInt32]) -> Int {
    switch bytes[Int(tape[index])] {
    case UInt8(ascii: "{"), UInt8(ascii: "["): Int(tape[index + 1])
    default: index + 1
    }
  }
}

/// The elements of a JSON array, in order.
package struct JSONElements: Collection, Sendable {
  let storage: JSONStorage
  /// The tape index of the array.
  let container: Int

  /// The place of one element or member inside its container.
  package struct Index: Comparable, Sendable {
    let tapeIndex: Int

    /// Whether `left` comes before `right` in the text.
    package static func < (left: Index, right: Index) -> Bool { left.tapeIndex < right.tapeIndex }
  }

  /// The place of the first element.
  package var startIndex: Index { Index(tapeIndex: container + 2) }

  /// The place after the last element.
  package var endIndex: Index { Index(tapeIndex: Int(storage.tape[container + 1])) }

  /// The place of the element after the one at `index`.
  package func index(after index: Index) -> Index {
    Index(
      tapeIndex: JSONValue.indexAfter(
        index.tapeIndex, bytes: storage.bytes, tape: storage.tape))
  }

  /// The element at `index`.
  package subscript(index: Index) -> JSONValue {
    JSONValue(storage: storage, index: index.tapeIndex)
  }
}

/// The members of a JSON object, in the order of the text.
package struct JSONMembers: Collection, Sendable {
  let storage: JSONStorage
  /// The tape index of the object.
  let container: Int

  /// The place of one member.
  package typealias Index = JSONElements.Index

  /// The place of the first member.
  package var startIndex: Index { Index(tapeIndex: container + 2) }

  /// The place after the last member.
  package var endIndex: Index { Index(tapeIndex: Int(storage.tape[container + 1])) }

  /// The place of the member after the one at `index`.
  package func index(after index: Index) -> Index {
    Index(
      tapeIndex: JSONValue.indexAfter(
        index.tapeIndex + 1, bytes: storage.bytes, tape: storage.tape))
  }

  /// The member at `index`.
  package subscript(index: Index) -> JSONMember {
    JSONMember(storage: storage, index: index.tapeIndex)
  }
}

/// One key of a JSON object with its value.
package struct JSONMember: Sendable {
  let storage: JSONStorage
  /// The tape index of the key.
  let index: Int

  /// The position of the key in the text.
  package var keyOffset: Int { Int(storage.tape[index]) }

  /// The UTF-8 bytes of the key, its escapes decoded.
  package var key: [UInt8] {
    var result: [UInt8] = []
    appendKey(to: &result)
    return result
  }

  /// The key as text; keys of different bytes can be `==` as strings.
  package var name: String { JSONText.string(storage.bytes, at: keyOffset) }

  /// Appends the UTF-8 bytes of the key, its escapes decoded, to `result`.
  package func appendKey(to result: inout [UInt8]) {
    JSONText.appendUTF8(storage.bytes, at: keyOffset, to: &result)
  }

  /// The value of the key.
  package var value: JSONValue { JSONValue(storage: storage, index: index + 1) }
}
