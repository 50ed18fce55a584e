/// The part of the post-processor that puts ids around an encoded text.
struct TokenTemplate {
  /// The ids before a single text.
  private(set) var prefix: [Int] = []
  /// The ids after a single text.
  private(set) var suffix: [Int] = []

  /// Reads the field `post_processor`.
  init(_ field: TokenizerField?, vocabulary: Vocabulary) throws(TokenizerError) {
    var templateCount = 0
    for step in try field?.steps("processors") ?? [] {
      if try step.type() != "ByteLevel" { templateCount += 1 }
      switch try step.type() {
      case "ByteLevel":
        // Changes only the positions of tokens in the original text, which are not reported here.
        try step.refuseMembers(besides: ["type", "add_prefix_space", "trim_offsets", "use_regex"])
      case "TemplateProcessing":
        let (before, after) = try Self.template(step, vocabulary: vocabulary)
        (prefix, suffix) = (before, after)
      case "BertProcessing", "RobertaProcessing":
        try step.refuseMembers(besides: ["type", "sep", "cls", "trim_offsets", "add_prefix_space"])
        prefix = [try Self.tokenAndID(step, "cls", vocabulary: vocabulary)]
        suffix = [try Self.tokenAndID(step, "sep", vocabulary: vocabulary)]
      default: throw step.unsupported()
      }
    }
    // Hugging Face tokenizers takes the parts that a template makes for several texts.
    guard templateCount <= 1 else {
      throw .malformedTemplate(
        path: field?.path ?? "", problem: "is one of several, which is not supported")
    }
  }

  /// The id of a member that is a pair of a token's text and its id.
  private static func tokenAndID(
    _ field: TokenizerField, _ key: String, vocabulary: Vocabulary
  ) throws(TokenizerError) -> Int {
    let pair = try field.member(key)
    guard let elements = pair.value.elements.map(Array.init), elements.count == 2,
      let id = elements[1].int
    else {
      throw pair.wrongType("a token and its id")
    }
    try check(id, path: field.path, vocabulary: vocabulary)
    return id
  }

  private static func check(
    _ id: Int, path: String, vocabulary: Vocabulary
  ) throws(TokenizerError) {
    guard vocabulary.hasPiece(id) else {
      throw .malformedTemplate(
        path: path, problem: "uses the id \(id), which is not in the vocabulary")
    }
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
      try check(id, path: field.path, vocabulary: vocabulary)
      ids.append(id)
    }
    return ids
  }
}
