internal import DuetSystem

extension TokenizerField {
  /// The steps of a component: for a `Sequence` those of its array `key`, however deep, else
  /// itself.
  func steps(_ key: String) throws(TokenizerError) -> [TokenizerField] {
    guard try type() == "Sequence" else { return [self] }
    try refuseMembers(besides: ["type", key])
    var result: [TokenizerField] = []
    // The JSON reader bounds the depth.
    for element in try member(key).elements() { result += try element.steps(key) }
    return result
  }

  /// The expression of `{"Regex": ...}` in the field `pattern`; nil for patterns of other kinds.
  func regularExpression() throws(TokenizerError) -> RegularExpression? {
    guard let expression = try member("pattern").optional("Regex") else { return nil }
    let pattern = try expression.string()
    do {
      return try RegularExpression(pattern)
    } catch {
      throw .unsupportedPattern(path: path, pattern: pattern, problem: error.problem)
    }
  }

  /// The bytes of `{"String": ...}` in the field `pattern`; patterns of other kinds are refused.
  func stringPattern() throws(TokenizerError) -> [UInt8] {
    let pattern = try member("pattern")
    if let expression = pattern.value["Regex"]?.string {
      throw .unsupportedPattern(
        path: path, pattern: expression,
        problem: "is a regular expression, which is not supported in \"\(name)\"")
    }
    try pattern.refuseMembers(besides: ["String"])
    let bytes = try pattern.member("String").utf8()
    guard !bytes.isEmpty else { throw pattern.unsupported() }
    return bytes
  }

  /// The UTF-8 of a string that is a single scalar.
  func scalar() throws(TokenizerError) -> [UInt8] {
    let text = try string()
    guard text.unicodeScalars.count == 1 else { throw wrongType("a single character") }
    return Array(text.utf8)
  }

  /// A count that is not negative.
  func count() throws(TokenizerError) -> Int {
    let count = try int()
    guard count >= 0 else { throw unsupported() }
    return count
  }
}
