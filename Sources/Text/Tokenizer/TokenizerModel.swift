/// The checked contents of a tokenizer's files, from which a `Tokenizer` is made.
struct TokenizerModel: Sendable {
  /// The tokens that are cut out of the text before anything else.
  let addedTokens: [AddedToken]
  let normalizer: Normalizer
  let preTokenizer: PreTokenizer
  let encoding: BytePairEncoding
  let decoder: TokenDecoder
  /// The ids put before an encoded text.
  let prefix: [Int]
  /// The ids put after an encoded text.
  let suffix: [Int]
  /// The start, end and unknown tokens that the file itself names.
  var namedTokens = NamedTokens()

  /// Tokens with a special role.
  struct NamedTokens: Sendable, Equatable {
    var beginningOfSequence: Int?
    var endOfSequence: Int?
    var unknown: Int?
  }
}

/// The pieces and merges of a tokenizer while they are being read.
struct VocabularyBuilder {
  let path: String
  private(set) var vocabulary: Vocabulary

  /// An empty vocabulary.
  init(path: String, capacity: Int) {
    self.path = path
    vocabulary = Vocabulary(capacity: capacity)
  }

  /// Adds a piece of the model.
  mutating func insert(_ piece: [UInt8], id: Int) throws(TokenizerError) {
    do {
      try vocabulary.insert(piece, id: id)
    } catch {
      let text = String(decoding: piece, as: UTF8.self)
      switch error {
      case .idOutOfRange: throw .idOutOfRange(path: path, piece: text, id: id)
      case .pieceTaken: throw .duplicatePiece(path: path, piece: text)
      case .idTaken:
        throw .duplicateID(path: path, id: id, first: self.text(of: id), second: text)
      }
    }
  }

  /// Adds an added token, unless the vocabulary has it already with the same id.
  mutating func insert(_ token: AddedToken) throws(TokenizerError) {
    let content = Array(token.content.utf8)
    guard (1...AddedToken.longestContent).contains(content.count) else {
      throw .malformedAddedToken(path: path, id: token.id, byteCount: content.count)
    }
    if let id = vocabulary.id(of: content) {
      guard Int(id) == token.id else {
        throw .addedTokenMismatch(
          path: path, token: token.content, id: token.id, vocabularyID: Int(id))
      }
    } else {
      try insert(content, id: token.id)
    }
  }

  /// Refuses a vocabulary that is empty or has too many ids without a piece.
  func check() throws(TokenizerError) {
    guard vocabulary.count > 0 else { throw .emptyVocabulary(path: path) }
    guard vocabulary.idCount - vocabulary.count <= Vocabulary.holeLimit else {
      throw .sparseIDs(
        path: path, highest: vocabulary.idCount - 1, count: vocabulary.count)
    }
  }

  /// The text of the piece with the given id.
  func text(of id: Int) -> String {
    String(decoding: vocabulary.piece(id) ?? [], as: UTF8.self)
  }

  /// Adds the merge of `pair[..<border]` and `pair[border...]` to `merges`.
  ///
  /// - Parameters:
  ///   - pair: The two pieces, one after the other.
  ///   - border: Where the second one starts.
  ///   - index: The place of the merge in the file, which is its rank.
  ///   - merges: The table that gets the merge.
  ///   - unreachable: Pieces that no text may become; merges that make one are left out.
  /// - Throws: `TokenizerError` for a piece that is unknown or a pair that is in the table already.
  func insertMerge(
    of pair: [UInt8], at border: Int, index: Int, into merges: inout MergeTable,
    unreachable: Set<Int>
  ) throws(TokenizerError) {
    var hash = vocabulary.emptyHash
    for byte in pair[..<border] { hash.append(byte) }
    let left = vocabulary.id(of: pair, in: 0..<border, hash: hash)
    for byte in pair[border...] { hash.append(byte) }
    let whole = vocabulary.id(of: pair, in: pair.indices, hash: hash)
    let right = vocabulary.id(of: pair, in: border..<pair.count)
    guard let left, let right, let whole else {
      let unknown = left == nil ? pair[..<border] : right == nil ? pair[border...] : pair[...]
      throw .mergeOfUnknownPiece(
        path: path, index: index, piece: String(decoding: unknown, as: UTF8.self))
    }
    if !unreachable.isEmpty, unreachable.contains(Int(whole)) { return }
    let merge = MergeTable.Merge(rank: UInt32(index), id: whole)
    guard merges.insert(left, right, merge) else {
      throw .duplicateMerge(path: path, index: index)
    }
  }

  /// Makes the finished model, in which the tokens that plain text must not become are hidden.
  consuming func makeEncoding(
    merges: MergeTable, unit: SymbolAlphabet.Unit, usesByteFallback: Bool, unknown: Int?,
    fusesUnknown: Bool, ignoresMerges: Bool, hiding hidden: Set<Int>
  ) throws(TokenizerError) -> BytePairEncoding {
    vocabulary.hide(hidden)
    let alphabet = SymbolAlphabet(
      unit: unit, vocabulary: vocabulary, usesByteFallback: usesByteFallback,
      unknown: unknown.map { Int32($0) }, fusesUnknown: fusesUnknown)
    if let gap = alphabet.gap { throw .incompleteAlphabet(path: path, missing: gap) }
    return BytePairEncoding(
      vocabulary: vocabulary, merges: merges, alphabet: alphabet, ignoresMerges: ignoresMerges)
  }
}
