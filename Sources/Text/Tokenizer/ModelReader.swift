/// The reader of the field `model` of a tokenizer.json, together with the added tokens.
struct ModelReader {
  private let model: TokenizerField
  private let unit: SymbolAlphabet.Unit
  /// The added tokens; with their final ids once the model has been read.
  private(set) var addedTokens: [AddedToken]
  /// The pieces and added tokens.
  private(set) var builder: VocabularyBuilder

  /// A reader that has read nothing yet.
  init(model: TokenizerField, unit: SymbolAlphabet.Unit, addedTokens: [AddedToken]) {
    self.model = model
    self.unit = unit
    self.addedTokens = addedTokens
    builder = VocabularyBuilder(path: model.path, capacity: 0)
  }

  /// The model that turns a word into ids.
  ///
  /// - Throws: `TokenizerError`.
  mutating func encoding(
    _ configuration: TokenizerConfiguration
  ) throws(TokenizerError) -> TokenizerModel.Encoding {
    guard let type = model.optional("type") else {
      // Files of the first versions have no type.
      if model.optional("merges") != nil { return .bytePairs(try bytePairs(configuration)) }
      if model.optional("vocab")?.value.kind == .array {
        return .unigram(try unigram(configuration))
      }
      throw .missingField(path: model.path, field: "\(model.name).type")
    }
    switch try type.string() {
    case "BPE": return .bytePairs(try bytePairs(configuration))
    case "Unigram": return .unigram(try unigram(configuration))
    default: throw type.unsupported()
    }
  }

  /// Adds the added tokens to the pieces and returns those that plain text must not become.
  private mutating func addTokens(
    _ configuration: TokenizerConfiguration
  ) throws(TokenizerError) -> Set<Int> {
    let hidden = try builder.insert(addedTokens, configuration)
    addedTokens = builder.addedTokens
    try builder.check()
    return hidden
  }

  // MARK: - Unigram

  private mutating func unigram(
    _ configuration: TokenizerConfiguration
  ) throws(TokenizerError) -> UnigramEncoding {
    try model.refuseMembers(besides: ["type", "unk_id", "vocab", "byte_fallback"])
    let pieces = try model.member("vocab").elements()
    builder = VocabularyBuilder(path: model.path, capacity: pieces.count)
    var scores: [Double] = []
    for (id, piece) in pieces.enumerated() {
      guard let pair = piece.value.elements.map(Array.init), pair.count == 2,
        let bytes = pair[0].utf8,
        let score = pair[1].double, score.isFinite
      else { throw piece.wrongType("a piece and its score") }
      try builder.insert(bytes, id: id)
      scores.append(score)
    }
    try builder.check()
    var unknown: Int?
    if let field = model.optional("unk_id") {
      let id = try field.int()
      guard scores.indices.contains(id) else {
        throw .tokenNotInVocabulary(path: model.path, role: "unknown token", token: "\(id)")
      }
      unknown = id
    }
    let hidden = try addTokens(configuration)
    return try builder.makeUnigram(
      scores: scores, lowestScore: scores.min() ?? 0,
      usesByteFallback: model.bool("byte_fallback", default: false), unknown: unknown,
      isSinglePrecision: false, hiding: hidden)
  }

  // MARK: - Byte pairs

  private mutating func bytePairs(
    _ configuration: TokenizerConfiguration
  ) throws(TokenizerError) -> BytePairEncoding {
    for key in ["dropout", "continuing_subword_prefix", "end_of_word_suffix"] {
      try model.refuse(key)
    }
    try model.refuseMembers(besides: [
      "type", "unk_token", "fuse_unk", "byte_fallback", "ignore_merges", "vocab", "merges",
    ])
    let pieces = try model.member("vocab")
    guard let members = pieces.value.members else { throw pieces.wrongType("an object") }
    builder = VocabularyBuilder(path: model.path, capacity: members.count)
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
    let merges = try merges()
    let usesByteFallback = try model.bool("byte_fallback", default: false)
    let unknown = try unknownID(usesByteFallback: usesByteFallback)
    let hidden = try addTokens(configuration)
    return try builder.makeEncoding(
      merges: merges, unit: unit, usesByteFallback: usesByteFallback, unknown: unknown,
      fusesUnknown: model.bool("fuse_unk", default: false),
      ignoresMerges: model.bool("ignore_merges", default: false),
      hiding: hidden)
  }

  private func unknownID(usesByteFallback: Bool) throws(TokenizerError) -> Int? {
    guard let field = model.optional("unk_token"), case let token = try field.string(),
      !token.isEmpty
    else { return nil }
    if let id = builder.vocabulary.id(of: Array(token.utf8)) { return Int(id) }
    // It is not needed when every byte has a piece.
    let alphabet = SymbolAlphabet(
      unit: unit, vocabulary: builder.vocabulary, usesByteFallback: usesByteFallback, unknown: nil,
      fusesUnknown: false)
    if alphabet.isComplete { return nil }
    throw .tokenNotInVocabulary(path: model.path, role: "unknown token", token: token)
  }

  /// The merges in the order of their ranks: each is `"a b"`, or `["a", "b"]` in newer files.
  private func merges() throws(TokenizerError) -> MergeTable {
    let field = try model.member("merges")
    let special = addedTokens.filter(\.isSpecial).compactMap {
      builder.vocabulary.id(of: Array($0.content.utf8))
    }
    let unreachable = Set(special.map { Int($0) })
    guard let elements = field.value.elements else { throw field.wrongType("an array") }
    var merges = MergeTable(capacity: elements.count)
    var pair: [UInt8] = []
    for (index, element) in elements.enumerated() {
      pair.removeAll(keepingCapacity: true)
      var border: Int?
      if element.appendUTF8(to: &pair) {
        // The first line of a file merges.txt, as some programs have copied it.
        if pair.starts(with: "#version".utf8) { continue }
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
