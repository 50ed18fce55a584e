extension JSONOutput {
  /// A copy of a value that was read.
  ///
  /// Integers that fit stay integers; other numbers are rounded to the nearest Double.
  package init(_ value: JSONValue) {
    switch value.kind {
    case .null: self = .null
    case .boolean: self = .boolean(value.bool ?? false)
    case .number:
      if let integer = value.int {
        self = .integer(integer)
      } else if let unsigned = value.uint64 {
        self = .unsigned(unsigned)
      } else {
        self = .number(value.double ?? .infinity)
      }
    case .string: self = .string(value.string ?? "")
    case .array: self = .array((value.elements.map(Array.init) ?? []).map { JSONOutput($0) })
    case .object:
      self = .object(
        (value.members.map(Array.init) ?? []).map { Member($0.name, JSONOutput($0.value)) })
    }
  }
}
