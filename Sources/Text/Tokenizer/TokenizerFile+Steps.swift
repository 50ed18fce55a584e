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
  fileprivate func stringPattern() throws(TokenizerError) -> [UInt8] {
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
