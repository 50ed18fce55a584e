internal import DuetSystem

extension TokenizerField {
  /// The steps of a component: for a `Sequence` those of its array `key`, however deep, else
  /// itself.
  fileprivate func steps(_ key: String) throws(TokenizerError) -> [TokenizerField] {
    guard try type() == "Sequence" else { return [self] }
    try refuseMembers(besides: ["type", key])
    var result: [TokenizerField] = []
    // The JSON reader bounds the depth.
    for element in try member(key).elements() { result += try element.steps(key) }
    return result
  }

  /// The bytes of `{"String": ...}` in the field `pattern`; patterns of other kinds are refused.
  fileprivate func stringPattern() throws(TokenizerError) -> [UInt8] {
    let pattern = try member("pattern")
    if let expression = pattern.value["Regex"]?.string {
      throw .unsupportedPattern(path: path, pattern: expression)
    }
    try pattern.refuseMembers(besides: ["String"])
    let bytes = try pattern.member("String").utf8()
    guard !bytes.isEmpty else { throw pattern.unsupported() }
    return bytes
  }

  /// The UTF-8 of a string that is a single scalar.
  fileprivate func scalar() throws(TokenizerError) -> [UInt8] {
    let text = try string()
    guard text.unicodeScalars.count == 1 else { throw wrongType("a single character") }
    return Array(text.utf8)
  }

  /// A count that is not negative.
  fileprivate func count() throws(TokenizerError) -> Int {
    let count = try int()
    guard count >= 0 else { throw unsupported() }
    return count
  }
}

extension Normalizer {
  /// Reads the field `normalizer`.
  init(_ field: TokenizerField?) throws(TokenizerError) {
    guard let field else { return }
    for step in try field.steps("normalizers") {
      switch try step.type() {
      case "Prepend":
        try step.refuseMembers(besides: ["type", "prepend"])
        steps.append(.prepend(try step.member("prepend").utf8()))
      case "Replace":
        try step.refuseMembers(besides: ["type", "pattern", "content"])
        steps.append(
          .replace(
            pattern: try step.stringPattern(), content: try step.member("content").utf8()))
      default: throw step.unsupported()
      }
    }
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

extension TokenDecoder {
  /// Reads the field `decoder`.
  init(_ field: TokenizerField?, path: String) throws(TokenizerError) {
    var result: [Step] = []
    var types: [String] = []
    for step in try field?.steps("decoders") ?? [] {
      types.append(try step.type())
      result.append(try Step(step))
    }
    guard let decoder = TokenDecoder(steps: result, separatesTokens: field == nil) else {
      throw .unsupportedSequence(path: path, field: "decoder", types: types)
    }
    self = decoder
  }
}

extension TokenDecoder.Step {
  /// Reads one decoder.
  fileprivate init(_ field: TokenizerField) throws(TokenizerError) {
    switch try field.type() {
    case "Replace":
      try field.refuseMembers(besides: ["type", "pattern", "content"])
      self = .replace(
        pattern: try field.stringPattern(), content: try field.member("content").utf8())
    case "ByteFallback":
      try field.refuseMembers(besides: ["type"])
      self = .byteFallback
    case "Fuse":
      try field.refuseMembers(besides: ["type"])
      self = .fuse
    case "Strip":
      try field.refuseMembers(besides: ["type", "content", "start", "stop"])
      self = .strip(
        content: try field.member("content").scalar(),
        start: try field.member("start").count(),
        stop: try field.member("stop").count())
    case "Metaspace":
      let metaspace = try PreTokenizer.Metaspace(field)
      self = .metaspace(
        replacement: metaspace.replacement, dropsFirst: metaspace.prefix != .never)
    case "ByteLevel":
      try field.refuseMembers(besides: ["type", "add_prefix_space", "trim_offsets", "use_regex"])
      self = .byteLevel
    default: throw field.unsupported()
    }
  }
}

/// The part of the post-processor that puts ids around an encoded text.
enum TokenTemplate {
  /// The ids that the field `post_processor` puts before and after a single text.
  static func affixes(
    _ field: TokenizerField?, vocabulary: Vocabulary
  ) throws(TokenizerError) -> (prefix: [Int], suffix: [Int]) {
    var prefix: [Int] = []
    var suffix: [Int] = []
    for step in try field?.steps("processors") ?? [] {
      switch try step.type() {
      case "ByteLevel":
        // Changes only the positions of tokens in the original text, which are not reported here.
        try step.refuseMembers(besides: ["type", "add_prefix_space", "trim_offsets", "use_regex"])
      case "TemplateProcessing":
        let (before, after) = try template(step, vocabulary: vocabulary)
        prefix = before + prefix
        suffix += after
      default: throw step.unsupported()
      }
    }
    return (prefix, suffix)
  }

  private static func template(
    _ field: TokenizerField, vocabulary: Vocabulary
  ) throws(TokenizerError) -> (prefix: [Int], suffix: [Int]) {
    try field.refuseMembers(besides: ["type", "single", "pair", "special_tokens"])
    var parts: [[Int]] = [[]]
    for piece in try field.member("single").elements() {
      if let sequence = piece.optional("Sequence") {
        guard try sequence.member("id").string() == "A" else {
          throw .malformedTemplate(path: field.path, problem: "names a second text")
        }
        parts.append([])
      } else {
        let name = try piece.member("SpecialToken").member("id").string()
        parts[parts.count - 1] += try ids(of: name, in: field, vocabulary: vocabulary)
      }
    }
    guard parts.count == 2 else {
      throw .malformedTemplate(
        path: field.path, problem: "holds the text \(parts.count - 1) times instead of once")
    }
    return (parts[0], parts[1])
  }

  private static func ids(
    of name: String, in field: TokenizerField, vocabulary: Vocabulary
  ) throws(TokenizerError) -> [Int] {
    guard let token = try field.member("special_tokens").optional(name) else {
      throw .malformedTemplate(
        path: field.path, problem: "names the token \"\(name)\" without saying what it is")
    }
    var ids: [Int] = []
    for element in try token.member("ids").elements() {
      let id = try element.int()
      guard vocabulary.hasPiece(id) else {
        throw .malformedTemplate(
          path: field.path, problem: "uses the id \(id), which is not in the vocabulary")
      }
      ids.append(id)
    }
    return ids
  }
}
