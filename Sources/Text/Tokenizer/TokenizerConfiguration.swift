internal import DuetSystem

/// The settings in tokenizer_config.json and special_tokens_map.json that tokenizers use.
struct TokenizerConfiguration: Sendable {
  /// The text of the token at the beginning of a sequence.
  private(set) var beginningOfSequence: String?
  /// The text of the token at the end of a sequence.
  private(set) var endOfSequence: String?
  /// The text of the token for text without a piece.
  private(set) var unknown: String?
  /// Whether an encoded text starts with `beginningOfSequence` (for SentencePiece files).
  private(set) var addsBeginningOfSequence: Bool?
  /// Whether an encoded text ends with `endOfSequence` (for SentencePiece files).
  private(set) var addsEndOfSequence: Bool?
  /// Whether the text behind an added token gets a space at its start, as tokenizers did before
  /// July 2023 (for SentencePiece files).
  private(set) var isLegacy = true
  /// Whether a text gets a space at its start (for SentencePiece files).
  private(set) var addsPrefixSpace = true
  /// Whether a text gets a space at its start, for tokenizers of the class of GPT-2: this replaces
  /// what a `ByteLevel` says that is the whole pre-tokenizer of tokenizer.json.
  private(set) var byteLevelAddsPrefixSpace: Bool?
  /// Tokens to be added to those of the tokenizer's own file, by rising id; of a token in both, these
  /// settings hold.
  private(set) var addedTokens: [AddedToken] = []
  /// The texts of all tokens with a role.
  private(set) var specialTokens: [String] = []
  /// The path of tokenizer_config.json, for messages.
  private(set) var path = ""
  /// The class of tokenizers that the files were made for.
  private var tokenizerClass: String?

  /// Reads the files of a folder, any of which may be absent.
  ///
  /// special_tokens_map.json is used only for tokens that tokenizer_config.json does not name, and
  /// added_tokens.json only if tokenizer_config.json has no `added_tokens_decoder`.
  init(folder: String) throws(TokenizerError) {
    path = "\(folder)/tokenizer_config.json"
    let root = try Self.root(path)
    if let root {
      try readTokens(root)
      addsBeginningOfSequence = try Self.bool(root, "add_bos_token")
      addsEndOfSequence = try Self.bool(root, "add_eos_token")
      isLegacy = try root.bool("legacy", default: true)
      addsPrefixSpace = try root.bool("add_prefix_space", default: true)
      tokenizerClass = try root.optional("tokenizer_class")?.string()
      if tokenizerClass == "GPT2Tokenizer" || tokenizerClass == "GPT2TokenizerFast" {
        byteLevelAddsPrefixSpace = try root.bool("add_prefix_space", default: false)
      }
    }
    if let map = try Self.root("\(folder)/special_tokens_map.json") { try readTokens(map) }
    if let field = root?.optional("added_tokens_decoder") {
      try readAddedTokens(field)
    } else if let field = try Self.root("\(folder)/added_tokens.json") {
      try readAddedTokensFile(field)
    }
    addedTokens.sort { $0.id < $1.id }
  }

  /// The ids around an encoded text: those of the tokenizer's own file, except for tokenizers of the class
  /// of Llama 2, which follow `add_bos_token` and `add_eos_token` instead.
  func affixes(
    instead own: (prefix: [Int], suffix: [Int]), vocabulary: Vocabulary
  ) -> (prefix: [Int], suffix: [Int]) {
    guard tokenizerClass == "LlamaTokenizer" || tokenizerClass == "LlamaTokenizerFast" else {
      return own
    }
    func ids(_ token: String?, _ standard: String, isWanted: Bool) -> [Int]? {
      guard isWanted else { return [] }
      return vocabulary.id(of: Array((token ?? standard).utf8)).map { [Int($0)] }
    }
    return (
      ids(beginningOfSequence, "<s>", isWanted: addsBeginningOfSequence ?? true) ?? own.prefix,
      ids(endOfSequence, "</s>", isWanted: addsEndOfSequence ?? false) ?? own.suffix
    )
  }

  /// The outermost object of a JSON file, or nil when there is no file.
  private static func root(_ path: String) throws(TokenizerError) -> TokenizerField? {
    do {
      return try TokenizerField.root(ofFile: path, limits: .tokenizer)
    } catch .unreadable(.notFound) {
      return nil
    }
  }

  private static func bool(
    _ field: TokenizerField, _ key: String
  ) throws(TokenizerError) -> Bool? {
    field.optional(key) == nil ? nil : try field.bool(key, default: false)
  }

  private mutating func readTokens(_ root: TokenizerField) throws(TokenizerError) {
    if beginningOfSequence == nil { beginningOfSequence = try Self.token(root, "bos_token") }
    if endOfSequence == nil { endOfSequence = try Self.token(root, "eos_token") }
    if unknown == nil { unknown = try Self.token(root, "unk_token") }
    var tokens = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"].compactMap {
      root.value["\($0)_token"]
    }
    if let others = root.value["additional_special_tokens"]?.elements { tokens += others }
    for token in tokens {
      if let text = token.string ?? token["content"]?.string, !text.isEmpty {
        specialTokens.append(text)
      }
    }
  }

  /// A token that is written as its text or as an object with the text as `content`.
  private static func token(
    _ root: TokenizerField, _ key: String
  ) throws(TokenizerError) -> String? {
    guard let field = root.optional(key) else { return nil }
    if let text = field.value.string { return text.isEmpty ? nil : text }
    guard field.value.kind == .object else { throw field.wrongType("a string or an object") }
    return try field.member("content").string()
  }

  /// Reads `added_tokens_decoder`: an object with ids as keys.
  private mutating func readAddedTokens(_ field: TokenizerField) throws(TokenizerError) {
    guard let members = field.value.members else { throw field.wrongType("an object") }
    for member in members {
      let entry = TokenizerField(
        path: field.path, name: "\(field.name).\(member.name)", value: member.value)
      guard let id = Int(member.name), id >= 0 else {
        throw .wrongType(path: field.path, field: field.name, expected: "an object of ids")
      }
      addedTokens.append(try AddedToken(entry, id: id))
    }
  }

  /// Reads added_tokens.json: an object with the tokens' texts as keys and their ids as values.
  private mutating func readAddedTokensFile(_ field: TokenizerField) throws(TokenizerError) {
    guard let members = field.value.members else { throw field.wrongType("an object") }
    for member in members {
      guard let id = member.value.int, id >= 0 else {
        throw .wrongType(path: field.path, field: member.name, expected: "an id")
      }
      let isSpecial = specialTokens.contains {
        $0.utf8.elementsEqual(member.name.utf8)
      }
      addedTokens.append(
        AddedToken(
          id: id, content: member.name, isSpecial: isSpecial, isNormalized: !isSpecial))
    }
  }
}
