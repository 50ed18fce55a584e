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
  /// Tokens added to those of a SentencePiece file.
  private(set) var addedTokens: [AddedToken] = []
  /// The path of tokenizer_config.json, for messages.
  private(set) var path = ""

  /// Reads the files of a folder; either may be absent.
  ///
  /// special_tokens_map.json is used only for tokens that tokenizer_config.json does not name.
  init(folder: String) throws(TokenizerError) {
    path = "\(folder)/tokenizer_config.json"
    if let root = try Self.root(path) {
      try readTokens(root)
      addsBeginningOfSequence = try Self.bool(root, "add_bos_token")
      addsEndOfSequence = try Self.bool(root, "add_eos_token")
      if let field = root.optional("added_tokens_decoder") { try readAddedTokens(field) }
    }
    if let root = try Self.root("\(folder)/special_tokens_map.json") { try readTokens(root) }
  }

  /// The outermost object of a small JSON file, or nil when there is no file.
  private static func root(_ path: String) throws(TokenizerError) -> TokenizerField? {
    do {
      return try TokenizerField.root(ofFile: path, limits: .smallFile)
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
}
