internal import DuetSystem

extension TokenizerModel {
  /// Reads a tokenizer.json.
  ///
  /// What the file asks for is either done exactly or refused: a type, field or value that is not
  /// implemented is an error that names it.
  ///
  /// - Parameter path: The file, at most 64 MB.
  /// - Throws: `TokenizerError`.
  /// - Complexity: O(size of the file).
  ///
  /// Source: Hugging Face tokenizers 0.23, the serialization of `Tokenizer`.
  init(tokenizerFile path: String) throws(TokenizerError) {
    let root = try TokenizerField.root(ofFile: path, limits: .tokenizer)
    try root.refuse("truncation")
    try root.refuse("padding")
    try root.refuseMembers(besides: [
      "version", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder",
      "model",
    ])
    if let version = root.optional("version"), try version.string() != "1.0" {
      throw version.unsupported()
    }
    let addedTokens = try Self.addedTokens(root.optional("added_tokens"))
    let preTokenizer = try PreTokenizer(root.optional("pre_tokenizer"))
    let encoding = try Self.encoding(
      root.member("model"), unit: preTokenizer.isByteLevel ? .byte : .scalar,
      addedTokens: addedTokens)
    let (prefix, suffix) = try TokenTemplate.affixes(
      root.optional("post_processor"), vocabulary: encoding.vocabulary)
    self.init(
      addedTokens: addedTokens,
      normalizer: try Normalizer(root.optional("normalizer")),
      preTokenizer: preTokenizer,
      encoding: encoding,
      decoder: try TokenDecoder(root.optional("decoder"), path: path),
      prefix: prefix,
      suffix: suffix)
  }

  /// The tokens of the field `added_tokens`.
  private static func addedTokens(
    _ field: TokenizerField?
  ) throws(TokenizerError) -> [AddedToken] {
    guard let field else { return [] }
    var result: [AddedToken] = []
    for element in try field.elements() {
      result.append(try AddedToken(element, id: element.member("id").int()))
    }
    return result
  }

  // MARK: - Model

  private static func encoding(
    _ model: TokenizerField, unit: SymbolAlphabet.Unit, addedTokens: [AddedToken]
  ) throws(TokenizerError) -> BytePairEncoding {
    let type = try model.member("type")
    guard try type.string() == "BPE" else { throw type.unsupported() }
    for key in ["dropout", "continuing_subword_prefix", "end_of_word_suffix"] {
      try model.refuse(key)
    }
    try model.refuseMembers(besides: [
      "type", "unk_token", "fuse_unk", "byte_fallback", "ignore_merges", "vocab", "merges",
    ])
    let pieces = try model.member("vocab")
    guard let members = pieces.value.members else { throw pieces.wrongType("an object") }
    var builder = VocabularyBuilder(path: model.path, capacity: members.count)
    var piece: [UInt8] = []
    for member in members {
      piece.removeAll(keepingCapacity: true)
      member.appendKey(to: &piece)
      guard let id = member.value.int else {
        throw .wrongType(
          path: model.path, field: "\(pieces.name).\(member.name)", expected: "an integer")
      }
      try builder.insert(piece, id: id)
    }
    try builder.check()
    let merges = try merges(
      model.member("merges"), builder: builder,
      unreachable: Set(addedTokens.filter(\.isSpecial).map(\.id)))

    let unknown = try unknownID(model.optional("unk_token"), vocabulary: builder.vocabulary)
    var hidden: Set<Int> = []
    for token in addedTokens {
      let isOfModel = builder.vocabulary.id(of: Array(token.content.utf8)) != nil
      try builder.insert(token)
      if token.isSpecial || !isOfModel { hidden.insert(token.id) }
    }
    try builder.check()
    return try builder.makeEncoding(
      merges: merges, unit: unit,
      usesByteFallback: model.bool("byte_fallback", default: false),
      unknown: unknown,
      fusesUnknown: model.bool("fuse_unk", default: false),
      ignoresMerges: model.bool("ignore_merges", default: false),
      hiding: hidden)
  }

  private static func unknownID(
    _ field: TokenizerField?, vocabulary: Vocabulary
  ) throws(TokenizerError) -> Int? {
    guard let field, case let token = try field.string(), !token.isEmpty else { return nil }
    guard let id = vocabulary.id(of: Array(token.utf8)) else {
      throw .tokenNotInVocabulary(path: field.path, role: "unknown token", token: token)
    }
    return Int(id)
  }

  /// The merges in the order of their ranks: each is `"a b"`, or `["a", "b"]` in newer files.
  private static func merges(
    _ field: TokenizerField, builder: VocabularyBuilder, unreachable: Set<Int>
  ) throws(TokenizerError) -> MergeTable {
    guard let elements = field.value.elements else { throw field.wrongType("an array") }
    var merges = MergeTable(capacity: elements.count)
    var pair: [UInt8] = []
    for (index, element) in elements.enumerated() {
      pair.removeAll(keepingCapacity: true)
      var border: Int?
      if element.appendUTF8(to: &pair) {
        if let space = pair.firstIndex(of: UInt8(ascii: " ")) {
          border = space
          pair.remove(at: space)
          if pair.contains(UInt8(ascii: " ")) { border = nil }
        }
      } else if let parts = element.elements {
        for (place, part) in parts.enumerated() {
          guard place < 2, part.appendUTF8(to: &pair) else {
            throw .malformedMerge(path: field.path, index: index)
          }
          if place == 0 { border = pair.count }
        }
      }
      guard let border, border > 0, border < pair.count else {
        throw .malformedMerge(path: field.path, index: index)
      }
      try builder.insertMerge(
        of: pair, at: border, index: index, into: &merges, unreachable: unreachable)
    }
    return merges
  }
}

extension AddedToken {
  /// Reads one entry of `added_tokens` or `added_tokens_decoder`.
  init(_ field: TokenizerField, id: Int) throws(TokenizerError) {
    try field.refuseMembers(besides: [
      "id", "content", "single_word", "lstrip", "rstrip", "normalized", "special",
    ])
    let isSpecial = try field.bool("special", default: false)
    self.init(
      id: id,
      content: try field.member("content").string(),
      isSpecial: isSpecial,
      isNormalized: try field.bool("normalized", default: !isSpecial),
      stripsLeft: try field.bool("lstrip", default: false),
      stripsRight: try field.bool("rstrip", default: false),
      isSingleWord: try field.bool("single_word", default: false))
  }
}
