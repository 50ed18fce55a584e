internal import DuetSystem

/// One value of a tokenizer's JSON file, with its place in the file for messages.
struct TokenizerField {
  let path: String
  /// The names of the fields from the outermost object to the value, with dots between them.
  let name: String
  let value: JSONValue

  /// The outermost object of the file at `path`.
  static func root(
    ofFile path: String, limits: JSONLimits
  ) throws(TokenizerError) -> TokenizerField {
    let bytes: [UInt8]
    do { bytes = try readFile(path, limit: limits.byteCount) } catch { throw .unreadable(error) }
    do {
      let document = try JSONDocument(parsing: bytes, path: path, limits: limits)
      let root = TokenizerField(path: path, name: "", value: document.root)
      guard root.value.kind == .object else {
        throw TokenizerError.wrongType(path: path, field: "", expected: "an object")
      }
      return root
    } catch let error as JSONError {
      throw .malformedJSON(error)
    } catch let error as TokenizerError {
      throw error
    } catch {
      throw .wrongType(path: path, field: "", expected: "JSON")
    }
  }

  private func place(_ key: String) -> String { name.isEmpty ? key : "\(name).\(key)" }

  /// The member `key`, or nil when it is absent or null.
  func optional(_ key: String) -> TokenizerField? {
    guard let member = value[key], !member.isNull else { return nil }
    return TokenizerField(path: path, name: place(key), value: member)
  }

  /// The member `key`, which must be there and not null.
  func member(_ key: String) throws(TokenizerError) -> TokenizerField {
    guard let member = optional(key) else {
      throw .missingField(path: path, field: place(key))
    }
    return member
  }

  /// The elements of the array.
  func elements() throws(TokenizerError) -> [TokenizerField] {
    guard let elements = value.elements else { throw wrongType("an array") }
    return elements.enumerated().map { index, element in
      TokenizerField(path: path, name: "\(name)[\(index)]", value: element)
    }
  }

  /// The string.
  func string() throws(TokenizerError) -> String {
    guard let string = value.string else { throw wrongType("a string") }
    return string
  }

  /// The UTF-8 bytes of the string.
  func utf8() throws(TokenizerError) -> [UInt8] {
    guard let utf8 = value.utf8 else { throw wrongType("a string") }
    return utf8
  }

  /// The truth value of the member `key`, or `standard` when it is absent or null.
  func bool(_ key: String, default standard: Bool) throws(TokenizerError) -> Bool {
    guard let field = optional(key) else { return standard }
    guard let bool = field.value.bool else { throw field.wrongType("true or false") }
    return bool
  }

  /// The integer.
  func int() throws(TokenizerError) -> Int {
    guard let int = value.int else { throw wrongType("an integer") }
    return int
  }

  /// The field `type` of the object.
  func type() throws(TokenizerError) -> String {
    guard value.kind == .object else { throw wrongType("an object") }
    return try member("type").string()
  }

  /// The error that this value should be `expected`.
  func wrongType(_ expected: String) -> TokenizerError {
    .wrongType(path: path, field: name, expected: expected)
  }

  /// The error that the value asks for something that is not implemented.
  func unsupported() -> TokenizerError {
    let text =
      switch value.kind {
      case .string: "\"\(value.string ?? "")\""
      case .boolean: value.bool == true ? "true" : "false"
      case .number: value.double.map { "\($0)" } ?? "a number"
      case .null: "null"
      case .array: "an array"
      case .object: value["type"]?.string.map { "of type \"\($0)\"" } ?? "an object"
      }
    return .unsupportedValue(path: path, field: name, value: text)
  }

  /// Refuses members that are not in `known`, unless they hold nothing: null, "", 0 or false.
  func refuseMembers(besides known: Set<String>) throws(TokenizerError) {
    guard let members = value.members else { throw wrongType("an object") }
    for member in members where !member.value.isVoid {
      let key = member.name
      if !known.contains(key) { throw .unknownField(path: path, field: place(key)) }
    }
  }

  /// Refuses the member `key` unless it holds nothing: null, "", 0 or false.
  func refuse(_ key: String) throws(TokenizerError) {
    if let field = optional(key), !field.value.isVoid { throw field.unsupported() }
  }
}

extension JSONValue {
  /// Whether the value means the same as its absence.
  fileprivate var isVoid: Bool {
    switch kind {
    case .null: true
    case .boolean: bool == false
    case .string: isString("")
    case .number: double == 0
    case .array, .object: false
    }
  }
}
