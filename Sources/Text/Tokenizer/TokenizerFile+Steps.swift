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

  /// The bytes of `{"String": ...}` in the field `pattern`; patterns of other kinds are refused.
  func stringPattern() throws(TokenizerError) -> [UInt8] {
    let pattern = try member("pattern")
    // The place for `{"Regex": ...}`.
    if let expression = pattern.value["Regex"]?.string {
      throw .unsupportedPattern(path: path, pattern: expression)
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

extension PreTokenizer {
  /// Reads the field `pre_tokenizer`.
  init(_ field: TokenizerField?) throws(TokenizerError) {
    guard let field else { return }
    let steps = try field.steps("pretokenizers")
    var types: [String] = []
    for step in steps { types.append(try step.type()) }
    for (step, type) in zip(steps, types) {
      switch type {
      case "Split": try readSplit(step)
      case "ByteLevel": try readByteLevel(step)
      case "Metaspace": metaspace = try Metaspace(step)
      default: throw step.unsupported()
      }
    }
    switch types {
    case [], ["Split"], ["ByteLevel"], ["Metaspace"]: break
    case ["Split", "ByteLevel"]:
      // With such settings each word would get a space, or would be split a second time.
      let usesPattern = try steps[1].bool("use_regex", default: true)
      if addsPrefixSpace || usesPattern { throw steps[1].unsupported() }
    default: throw .unsupportedSequence(path: field.path, field: field.name, types: types)
    }
  }

  private mutating func readSplit(_ field: TokenizerField) throws(TokenizerError) {
    try field.refuseMembers(besides: ["type", "pattern", "behavior", "invert"])
    try field.refuse("invert")
    let behavior = try field.member("behavior")
    guard try behavior.string() == "Isolated" else { throw behavior.unsupported() }
    let pattern = try field.member("pattern")
    try pattern.refuseMembers(besides: ["Regex"])
    let expression = try pattern.member("Regex").string()
    guard let known = WordPattern(regularExpression: expression) else {
      throw .unsupportedPattern(path: field.path, pattern: expression)
    }
    self.pattern = known
  }

  private mutating func readByteLevel(_ field: TokenizerField) throws(TokenizerError) {
    try field.refuseMembers(besides: ["type", "add_prefix_space", "trim_offsets", "use_regex"])
    isByteLevel = true
    addsPrefixSpace = try field.bool("add_prefix_space", default: true)
    if try field.bool("use_regex", default: true), pattern == nil { pattern = .gpt2 }
  }
}

extension PreTokenizer.Metaspace {
  /// Reads a `Metaspace`, whose prefix is given by `prepend_scheme` or, in older files, by
  /// `add_prefix_space`.
  init(_ field: TokenizerField) throws(TokenizerError) {
    try field.refuseMembers(besides: [
      "type", "replacement", "prepend_scheme", "add_prefix_space", "split", "str_rep",
    ])
    replacement = try field.member("replacement").scalar()
    splits = try field.bool("split", default: true)
    let addsPrefixSpace = try field.bool("add_prefix_space", default: true)
    guard let scheme = field.optional("prepend_scheme") else {
      prefix = addsPrefixSpace ? .always : .never
      return
    }
    guard let prefix = Prefix(rawValue: try scheme.string()), addsPrefixSpace || prefix == .never
    else { throw scheme.unsupported() }
    self.prefix = prefix
  }
}
